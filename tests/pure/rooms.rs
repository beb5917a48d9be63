//! Which room may know which, held over every path of the source: imports, expressions, types and what stands in macros.
//!
//! The rooms are the modules at the root of the library. Fewer edges mean that planning can be tested without a cluster, a
//! run without a planner, and that the network, processes, the disk and the clock have one place each.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A room and what it may name, by the beginning of the path.
const EDGES: &[(&str, &[&str])] = &[
    ("rules", &["cluster::model"]),
    ("documents", &["rules", "cluster::model"]),
    ("cluster", &["ports", "host", "documents", "rules"]),
    (
        "host",
        &["cluster::model", "cluster::facts", "rules::version"],
    ),
    ("plan", &["cluster", "rules", "host", "documents"]),
    (
        "run",
        &[
            "ports",
            "plan::data",
            "plan::earlier",
            "plan::graph",
            "plan::file",
            "plan::saved",
            "plan::way_back",
            "plan::windows",
            "host",
            "cluster",
            "rules::eviction",
            "rules::static_pods",
            "rules::version",
        ],
    ),
    (
        "ports",
        &["cluster::model", "cluster::facts", "host", "rules::version"],
    ),
    (
        "adapters",
        &[
            "ports",
            "cluster::model",
            "cluster::facts",
            "host",
            "documents::settings",
            "rules::version",
        ],
    ),
    (
        "report",
        &[
            "run::event",
            "run::state",
            "run::extent",
            "plan",
            "host",
            "cluster",
            "rules::version",
        ],
    ),
    (
        "sim",
        &[
            "ports",
            "cluster::model",
            "cluster::facts",
            "cluster::release",
            "host",
            "rules",
        ],
    ),
    (
        "cli",
        &[
            "adapters",
            "cluster",
            "documents",
            "host",
            "plan",
            "ports",
            "report",
            "rules",
            "run",
            "sim",
        ],
    ),
];

/// What only some rooms may name outside of this crate.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("kube", &["adapters"]),
    ("k8s_openapi", &["adapters"]),
    ("openssh", &["adapters"]),
    ("age", &["adapters", "documents"]),
    ("hyper_util", &["adapters"]),
    ("http_body_util", &["adapters"]),
    ("form_urlencoded", &["adapters"]),
    ("rustls_pki_types", &["adapters"]),
    ("rustix", &["adapters"]),
    ("http", &["adapters"]),
    ("backon", &["adapters"]),
    ("tempfile", &["adapters"]),
    ("std::fs", &["adapters"]),
    ("std::net::TcpStream", &["adapters"]),
    ("std::net::TcpListener", &["adapters"]),
    ("std::net::UdpSocket", &["adapters"]),
    ("std::net::ToSocketAddrs", &["adapters"]),
    ("std::thread", &["adapters"]),
    ("std::process::Command", &["adapters"]),
    ("std::process", &["adapters", "cli"]),
    ("std::env", &["adapters", "cli"]),
    ("std::os", &["adapters"]),
    ("std::io::stdin", &["cli"]),
    ("std::time::Instant", &["adapters"]),
    ("std::time::SystemTime", &["adapters"]),
    ("jiff::Timestamp::now", &["adapters"]),
    ("jiff::Zoned::now", &["adapters"]),
    ("tokio::fs", &["adapters"]),
    ("tokio::net", &["adapters"]),
    ("tokio::process", &["adapters"]),
    ("tokio::time", &["adapters", "sim::pace"]),
    ("tokio::signal", &["cli"]),
    ("tokio::spawn", &[]),
    ("tokio::task", &[]),
];

/// Methods of `Path` that look at the disk, which no path betrays.
const DISK_METHODS: &[&str] = &[
    "exists",
    "try_exists",
    "is_file",
    "is_dir",
    "read_dir",
    "canonicalize",
    "symlink_metadata",
];

/// The paths of one file.
struct Paths {
    /// The module, from the crate's root.
    module: Vec<String>,
    /// Inside of a test module, which may use the disk and processes of the machine that tests.
    testing: bool,
    /// Absolute, `crate` first for our own; and whether only a test names it.
    found: Vec<(String, bool)>,
    methods: Vec<String>,
    /// What a name stands for by an import of this file.
    imports: Vec<(String, Vec<String>)>,
}

impl Paths {
    fn of(module: &[&str], source: &str) -> Self {
        let file = syn::parse_file(source).unwrap();
        let mut paths = Self {
            module: module.iter().map(|part| (*part).to_owned()).collect(),
            testing: false,
            found: Vec::new(),
            methods: Vec::new(),
            imports: Vec::new(),
        };
        let mut imports = Imports(Vec::new());
        imports.visit_file(&file);
        paths.imports = imports.0;
        paths.visit_file(&file);
        paths
    }

    fn add(&mut self, parts: &[String]) {
        let mut parts = parts.to_vec();
        if let Some((_, full)) = self.imports.iter().find(|(name, _)| *name == parts[0]) {
            parts.splice(..1, full.iter().cloned());
        }
        let mut at = self.module.clone();
        let mut rest = parts.as_slice();
        let own = match rest[0].as_str() {
            "crate" => {
                at.clear();
                rest = &rest[1..];
                true
            }
            "self" => {
                rest = &rest[1..];
                true
            }
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
                true
            }
            _ => false,
        };
        let path = if own {
            at.insert(0, "crate".to_owned());
            at.extend(rest.iter().cloned());
            at.join("::")
        } else {
            parts.join("::")
        };
        self.found.push((path, self.testing));
    }

    fn add_use(&mut self, prefix: &[String], tree: &syn::UseTree) {
        for (_, full) in leaves(prefix, tree) {
            self.add(&full);
        }
    }

    /// `a::b::c` in what a macro is given.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut found = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        found.push(std::mem::take(&mut path));
                    }
                    colons = 0;
                    path.push(ident.to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    found.push(std::mem::take(&mut path));
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    found.push(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        found.push(path);
        for path in found.iter().filter(|path| path.len() > 1) {
            self.add(path);
        }
    }
}

/// Every name that a `use` brings in, and its full path.
fn leaves(prefix: &[String], tree: &syn::UseTree) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident| {
        let mut full = prefix.to_vec();
        full.push(name.to_string());
        full
    };
    match tree {
        syn::UseTree::Path(path) => leaves(&with(&path.ident), &path.tree),
        syn::UseTree::Name(name) if name.ident == "self" => {
            vec![(prefix.last().unwrap().clone(), prefix.to_vec())]
        }
        syn::UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        syn::UseTree::Rename(rename) => vec![(rename.rename.to_string(), with(&rename.ident))],
        syn::UseTree::Glob(_) => vec![("*".to_owned(), prefix.to_vec())],
        syn::UseTree::Group(group) => group
            .items
            .iter()
            .flat_map(|tree| leaves(prefix, tree))
            .collect(),
    }
}

/// Imports from outside of this crate: `use std::fs; fs::read()` names `std::fs::read`.
struct Imports(Vec<(String, Vec<String>)>);

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.0
            .extend(leaves(&[], &item.tree).into_iter().filter(|(name, full)| {
                full.len() > 1
                    && name != "*"
                    && !["crate", "self", "super"].contains(&full[0].as_str())
            }));
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let outer = self.testing;
        self.testing |= item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|what| what == "test")
        });
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.testing = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.add(&parts);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.add_tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if !self.testing {
            self.methods.push(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

fn begins(path: &str, with: &str) -> bool {
    path == with
        || path
            .strip_prefix(with)
            .is_some_and(|rest| rest.starts_with("::"))
}

/// What a module names and may not.
fn violations(module: &[&str], source: &str) -> Vec<String> {
    let room = module[0];
    let allowed = EDGES
        .iter()
        .find(|(name, _)| *name == room)
        .unwrap_or_else(|| panic!("room `{room}` has no rule"))
        .1;
    let paths = Paths::of(module, source);
    let mut wrong = Vec::new();
    for (path, testing) in &paths.found {
        if let Some(own) = path.strip_prefix("crate::") {
            let known = begins(own, room) || allowed.iter().any(|edge| begins(own, edge));
            if !known {
                wrong.push(format!("{} names {path}", module.join("::")));
            }
        } else if let Some((outside, rooms)) =
            OUTSIDE.iter().find(|(outside, _)| begins(path, outside))
            // a single name is a variable
            && path.contains("::")
            && !rooms.iter().any(|room| begins(&module.join("::"), room))
            && !testing
        {
            wrong.push(format!("{} names {path} ({outside})", module.join("::")));
        }
    }
    if room != "adapters" {
        for method in paths.methods {
            if DISK_METHODS.contains(&method.as_str()) {
                wrong.push(format!(
                    "{} calls .{method}() on the disk",
                    module.join("::")
                ));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_room_names_only_what_it_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "the source was not found");
    let mut wrong = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap().with_extension("");
        let mut module: Vec<_> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        if *module.last().unwrap() == "mod" {
            module.pop();
        }
        if ["lib", "main"].contains(&module[0]) {
            continue;
        }
        wrong.extend(violations(
            &module,
            &std::fs::read_to_string(&file).unwrap(),
        ));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn what_is_forbidden_is_found_wherever_it_stands() {
    for (module, source) in [
        (&["run", "executor"][..], "use crate::plan::planner::plan;"),
        (
            &["run", "executor"],
            "use super::super::plan::{data, planner};",
        ),
        (
            &["run", "executor"],
            "fn f() { crate::plan::planner::plan(); }",
        ),
        (
            &["run", "executor"],
            "fn f() { println!(\"{}\", crate::plan::planner::X); }",
        ),
        (
            &["run", "executor"],
            "mod tests { use super::super::super::adapters::disk; }",
        ),
        (
            &["plan", "planner"],
            "fn f(x: &crate::run::event::State) {}",
        ),
        (&["plan", "planner"], "use std::fs;"),
        (
            &["plan", "planner"],
            "use std::io::Read; use std::{fs as disk}; fn f() { disk::read(p); }",
        ),
        (&["plan", "planner"], "fn f() { jiff::Timestamp::now(); }"),
        (
            &["plan", "planner"],
            "use jiff::Timestamp; fn f() { Timestamp::now(); }",
        ),
        (&["rules", "skew"], "use crate::cluster::facts::Facts;"),
        (&["cli", "apply"], "use kube::Client;"),
        (&["cli", "apply"], "use std::process::Command;"),
        (&["cli", "apply"], "fn f(p: &Path) { if p.exists() {} }"),
        (
            &["run", "drain"],
            "async fn f() { tokio::time::sleep(d).await }",
        ),
        (
            &["run", "drain"],
            "async fn f() { tokio::spawn(async {}); }",
        ),
        (
            &["sim", "world"],
            "async fn f() { tokio::time::sleep(d).await }",
        ),
        (&["sim", "world"], "use crate::run::executor::execute;"),
    ] {
        assert!(
            !violations(module, source).is_empty(),
            "{module:?}: {source}"
        );
    }
}

#[test]
fn what_is_allowed_passes() {
    for (module, source) in [
        (
            &["run", "executor"][..],
            "use crate::plan::data::{Plan, Step}; use super::state::State;",
        ),
        (
            &["adapters", "kube"],
            "use kube::Client; use super::disk; use crate::ports::Failure;",
        ),
        (&["adapters", "clock"], "fn f() { jiff::Timestamp::now(); }"),
        (
            &["cli", "apply"],
            "use std::process::ExitCode; use crate::run::executor::execute;",
        ),
        (
            &["rules", "skew"],
            "use super::version::Minor; use crate::cluster::model::Role;",
        ),
    ] {
        assert_eq!(violations(module, source), Vec::<String>::new(), "{source}");
    }
}
