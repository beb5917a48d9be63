//! The tables as JSON Schemas, for editors that complete and underline while people write.

use serde_json::{Map, Value, json};

use super::Kind;
use super::format::Format;
use super::table::hazards::HAZARDS;
use super::table::inventory::INVENTORY;
use super::table::upgrade::UPGRADE;
use super::table::{Choice, Field, Object, Shape};

/// The JSON Schema (draft 2020-12) of a document, as text with a final line break.
#[must_use]
pub fn json_schema(kind: Kind) -> String {
    match kind {
        Kind::Inventory => schema("refit inventory", &INVENTORY),
        Kind::Upgrade => schema("refit upgrade", &UPGRADE),
    }
}

/// The JSON Schema of a file of hazards.
#[must_use]
pub fn hazards_schema() -> String {
    schema("refit hazards", &HAZARDS)
}

fn schema(title: &str, object: &Object) -> String {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!(title));
    schema.extend(of_object(object));
    // Serialising a `Value` cannot fail; `{:#}` is its pretty form.
    format!("{:#}\n", Value::Object(schema))
}

fn of_object(object: &Object) -> Map<String, Value> {
    let properties: Map<String, Value> = object
        .fields
        .iter()
        .map(|field| (field.name.to_owned(), Value::Object(of_field(field))))
        .collect();
    let needed: Vec<&str> = object
        .fields
        .iter()
        .filter(|field| field.default.is_none())
        .map(|field| field.name)
        .collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("description".to_owned(), json!(object.doc));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    if !needed.is_empty() {
        schema.insert("required".to_owned(), json!(needed));
    }
    let set =
        |name: &&str| json!({"required": [name], "properties": {*name: {"not": {"type": "null"}}}});
    match object.choice {
        Choice::Free => {}
        Choice::ExactlyOne(names) => {
            schema.insert("oneOf".to_owned(), names.iter().map(set).collect());
        }
        Choice::AtMostOne(names) => {
            schema.insert(
                "not".to_owned(),
                json!({"allOf": names.iter().map(set).collect::<Value>()}),
            );
        }
    }
    schema
}

fn of_field(field: &Field) -> Map<String, Value> {
    let inner = of_shape(field.shape);
    let mut schema = match field.default {
        Some("null") => match inner.get("type") {
            Some(Value::String(kind)) if !inner.contains_key("enum") => {
                let kinds = json!([kind, "null"]);
                let mut inner = inner;
                inner.insert("type".to_owned(), kinds);
                inner
            }
            _ => Map::from_iter([("anyOf".to_owned(), json!([inner, {"type": "null"}]))]),
        },
        _ => inner,
    };
    let doc = match (field.built, field.default) {
        (true, _) => field.doc.to_owned(),
        (false, Some("null" | "[]") | None) => format!("{} Not supported yet.", field.doc),
        (false, Some(default)) => format!("{} Not supported yet: only {default}.", field.doc),
    };
    schema.insert("description".to_owned(), json!(doc));
    if let Some(default) = field.default {
        schema.insert("default".to_owned(), default_value(default, field.shape));
    }
    schema
}

fn default_value(default: &str, shape: Shape) -> Value {
    match (default, shape) {
        ("null", _) => Value::Null,
        ("{}", _) => json!({}),
        ("[]", _) => json!([]),
        (_, Shape::Flag) => json!(default == "true"),
        (_, Shape::Text(Format::Count | Format::Positive | Format::Port)) => default
            .parse::<u32>()
            .map_or(Value::Null, |count| json!(count)),
        _ => json!(default),
    }
}

fn of_shape(shape: Shape) -> Map<String, Value> {
    let value = match shape {
        Shape::Text(Format::Count) => json!({"type": "integer", "minimum": 0}),
        Shape::Text(Format::Positive) => json!({"type": "integer", "minimum": 1}),
        Shape::Text(Format::Port) => json!({"type": "integer", "minimum": 1, "maximum": 65_535}),
        Shape::Text(format) => {
            let mut schema = json!({"type": if format == Format::Share { json!(["integer", "string"]) } else { json!("string") }});
            if let Some(pattern) = format.pattern() {
                schema["pattern"] = json!(pattern);
                schema["errorMessage"] = json!(format!("expected {}", format.describe()));
            }
            schema
        }
        Shape::Any => json!({}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::OneOf(words) => json!({"type": "string", "enum": words}),
        Shape::List(shape) => json!({"type": "array", "items": of_shape(*shape)}),
        Shape::Map(format, shape) => {
            let mut schema = json!({"type": "object", "additionalProperties": of_shape(*shape)});
            if let Some(pattern) = format.pattern() {
                schema["propertyNames"] = json!({"pattern": pattern});
            }
            schema
        }
        Shape::Object(object) => Value::Object(of_object(object)),
        Shape::Either(scalar, object) => json!({"anyOf": [of_shape(*scalar), of_object(object)]}),
    };
    match value {
        Value::Object(schema) => schema,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
