//! Whatever the bytes: an answer, never a panic, and errors that point into the text.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;
use refit::documents::{DocumentErrors, Environment, Style, kind_of, read_inventory, read_upgrade};

const INVENTORY: &str = include_str!("../documents/full/inventory.yaml");
const UPGRADE: &str = include_str!("../documents/full/upgrade.yaml");

fn look_at(bytes: &[u8]) -> Result<(), TestCaseError> {
    let path = Path::new("x.yaml");
    let home = Environment {
        home: Some("/home/ops".into()),
        names: None,
    };
    let inventory = read_inventory(path, bytes, &home);
    if let Ok(inventory) = &inventory {
        for host in inventory.hosts.values() {
            for text in [
                host.name.as_str(),
                &host.address,
                host.node.as_str(),
                &host.ssh.user,
            ] {
                let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
                prop_assert!(
                    !text.is_empty() && !text.starts_with('-') && text.bytes().all(safe),
                    "{text:?}"
                );
            }
        }
    }
    let outcomes = [
        inventory.err(),
        read_upgrade(path, bytes, &home).err(),
        kind_of(path, bytes).err(),
    ];
    for errors in outcomes.into_iter().flatten() {
        point_into_the_text(&errors)?;
    }
    Ok(())
}

fn point_into_the_text(errors: &DocumentErrors) -> Result<(), TestCaseError> {
    prop_assert!(!errors.errors.is_empty());
    for error in &errors.errors {
        let spans = error
            .span
            .into_iter()
            .chain(error.also.as_ref().map(|(span, _)| *span));
        for span in spans {
            prop_assert!(
                errors.text.get(span.start..span.end).is_some(),
                "{span:?} of {} in {error:?}",
                errors.text.len()
            );
        }
        prop_assert!(
            !error.message.contains("defect of refit"),
            "{}",
            errors.text
        );
        prop_assert!(!error.message.contains('\n'));
    }
    let text = errors.render(Style::Plain);
    prop_assert!(
        !text.chars().any(|c| c.is_control() && c != '\n'),
        "{text:?}"
    );
    prop_assert!(errors.render(Style::Coloured).contains("error"));
    Ok(())
}

/// What people and attackers type into YAML.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<Vec<u8>> = [
        "\t",
        "\n",
        "  ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: *a",
        "!!str ",
        "|",
        ">",
        "---\n",
        "...",
        "%YAML 1.2\n",
        "null",
        "true",
        "1.35",
        "-1",
        "0x1f",
        "é",
        "\u{202e}",
        "\u{feff}",
        "\r\n",
        "w[1-3]",
        "[3-1]",
        "[1-99999]",
        "{minor}",
        "{",
        "=",
        "in (",
        "!",
        "name: ",
        "hosts: ",
        "role: worker",
        "-oProxyCommand=x",
        "$(id)",
        ";",
        "🦀",
        "\\x00",
        "? ",
        "@",
        "`",
        "\u{85}",
        "\x1b[31m",
        "\x7f",
    ]
    .iter()
    .map(|word| word.as_bytes().to_vec())
    .collect();
    prop_oneof![4 => proptest::sample::select(words), 1 => proptest::collection::vec(any::<u8>(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        look_at(&bytes)?;
    }

    #[test]
    fn any_pieces(pieces in proptest::collection::vec(piece(), 0..60)) {
        look_at(&pieces.concat())?;
    }

    #[test]
    fn mutated_documents(
        which in any::<bool>(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..12, piece()), 1..4),
    ) {
        let mut bytes = if which { INVENTORY } else { UPGRADE }.as_bytes().to_vec();
        for (at, cut, piece) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + cut).min(bytes.len());
            bytes.splice(at..end, piece);
        }
        look_at(&bytes)?;
    }

    #[test]
    fn values_of_the_right_shape_but_any_text(key in "target|inventory|maxFactsAge|via|drain|packages|kind", value in "\\PC{0,40}") {
        let text = format!("apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {{name: x}}\n{key}: {value:?}\n");
        look_at(text.as_bytes())?;
    }

    #[test]
    fn hosts_of_any_name(name in "\\PC{0,20}|[a-z\\[\\]0-9-]{0,12}", address in "\\PC{0,20}|[0-9.\\[\\]-]{0,14}") {
        let text = format!("apiVersion: refit/v1alpha1\nkind: Inventory\nmetadata: {{name: x}}\nssh: {{user: ops}}\ngroups: {{c: {{role: control-plane, hosts: [{{name: {name:?}, address: {address:?}}}]}}}}\n");
        look_at(text.as_bytes())?;
    }
}
