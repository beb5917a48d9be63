//! The plan as a document that a person can carry out by hand.
//!
//! Each command of a host is the one that the executor would run, from the same definition (`host::command`): the constant
//! scripts are printed once and put on the hosts, and each step calls its script with its arguments. Steps of the API are
//! `kubectl` commands. The way back comes last: what a snapshot of etcd, the saved configuration and the earlier packages
//! give back.

mod back;
mod by_hand;
mod shell;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

pub use shell::{command_line, quoted};

use super::markdown::text::{code, prose};
use super::parts::hops;
use super::step::{duration, limits, what};
use super::timeline::Timeline;
use super::words;
use crate::cluster::model::HostName;
use crate::host::op::Query;
use crate::plan::data::{Action, Plan, Step};
use crate::plan::purpose::Purpose;
use by_hand::{Do, by_hand};
use shell::Scripts;

/// Where the scripts are on each host.
pub(super) const DIRECTORY: &str = "/root/refit-runbook";

/// What the run is called where the executor would name it.
pub(super) const RUN: &str = "by-hand";

/// What a host is set up with before its commands, as the executor's unit is.
const ENVIRONMENT: &str = "umask 022; export HOME=/root LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a person gets onto a host, such as `ssh -p 22 ops@10.0.0.1 sudo`: a command that runs what comes after it as root.
pub type Logins = BTreeMap<HostName, String>;

/// The runbook. Hosts without a login are reached by `ssh HOST sudo`.
#[must_use]
pub fn runbook(plan: &Plan, logins: &Logins, at: Timestamp) -> String {
    let mut scripts = Scripts::default();
    let steps = steps(plan, logins, &mut scripts);
    let back = match plan.purpose() {
        Purpose::Upgrade => back::way_back(plan, logins),
        Purpose::Snapshot | Purpose::Restore | Purpose::Rollback => String::new(),
    };
    for (name, text) in back::SCRIPTS {
        scripts.add(name, text);
    }
    let mut text = head(plan, at);
    if plan.is_empty() {
        return text;
    }
    before(&mut text, plan, logins, &scripts);
    text.push_str(&steps);
    text.push_str(&back);
    text
}

fn head(plan: &Plan, at: Timestamp) -> String {
    let mut text = format!("# Runbook: {}\n\n", prose(&plan.upgrade));
    if plan.is_empty() {
        let _ = writeln!(text, "Nothing to do: everything is at {}.", plan.target);
        return text;
    }
    let lead = match plan.purpose() {
        Purpose::Upgrade => format!("Takes {} to {}", code(&plan.inventory), plan.target),
        Purpose::Snapshot => format!("Takes a snapshot of {}", code(&plan.inventory)),
        Purpose::Restore => format!("Brings {} back", code(&plan.inventory)),
        Purpose::Rollback => format!("Brings a control plane of {} back", code(&plan.inventory)),
    };
    let _ = write!(
        text,
        "{lead} in {} steps; about {} if steps beside each other are done so, longer one by one.\n\
         Made from facts {}.\n\n",
        plan.steps.len(),
        duration(plan.expected_s()),
        prose(&words::observed(plan.facts_at, at)),
    );
    for note in &plan.notes {
        let _ = writeln!(text, "- {}", prose(note));
    }
    text.push_str(
        "\nThis is `refit apply` by hand: the same commands in the same order. Do not run both. Stop at the first step that does not end as it says,\n\
         and find out why before you go on: every command here may be run again. Tick what is done; nothing else remembers it.\n\n",
    );
    text
}

/// Hosts, scripts, and what is saved for the way back.
fn before(text: &mut String, plan: &Plan, logins: &Logins, scripts: &Scripts) {
    let hosts = hosts(plan);
    text.push_str("## Before the first step\n\n");
    text.push_str(
        "**Here** is a shell with `kubectl` for this cluster and `ssh` to its hosts. **On a host** is a root shell there, with\n\n",
    );
    let _ = write!(text, "```sh\n{ENVIRONMENT}\n```\n\n");
    text.push_str("| Host | Node | A root shell |\n|---|---|---|\n");
    for (host, node) in &hosts {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            code(host.as_str()),
            code(node),
            code(&root_shell(&login(logins, host)))
        );
    }
    text.push_str("\n- [ ] Here: write the scripts into a new directory.\n\n");
    text.push_str(&scripts.block());
    text.push_str("- [ ] Here: put them on every host.\n\n```sh\n");
    for host in hosts.keys() {
        let _ = writeln!(
            text,
            "tar -cf - refit-runbook | {} tar -xof - -C /root",
            login(logins, host)
        );
    }
    text.push_str("```\n\n- [ ] Here: save on every host what the way back needs.\n\n```sh\n");
    for host in hosts.keys() {
        let _ = writeln!(
            text,
            "{} sh {DIRECTORY}/save < /dev/null",
            login(logins, host)
        );
    }
    text.push_str("```\n\n");
}

/// The hosts that the plan checks, with their nodes.
fn hosts(plan: &Plan) -> BTreeMap<&HostName, &str> {
    plan.steps
        .iter()
        .filter_map(|step| Some((step.action.host()?, step.action.node()?.as_str())))
        .collect()
}

fn login(logins: &Logins, host: &HostName) -> String {
    logins
        .get(host)
        .cloned()
        .unwrap_or_else(|| format!("ssh {} sudo", quoted(host.as_str())))
}

/// From what runs one command as root to a shell that stays.
fn root_shell(login: &str) -> String {
    match (login.strip_prefix("ssh "), login.ends_with(" sudo")) {
        (Some(rest), true) => format!("ssh -t {rest} -i"),
        (_, _) => login.to_owned(),
    }
}

/// All steps, by hop and part where that is an order that the plan allows.
fn steps(plan: &Plan, logins: &Logins, scripts: &mut Scripts) -> String {
    let timeline = Timeline::of(plan);
    let hops = hops(plan);
    let mut text = String::new();
    let grouped: Vec<&Step> = hops
        .iter()
        .flat_map(|hop| &hop.sections)
        .flat_map(|section| section.steps.iter().copied())
        .collect();
    if !allowed(&grouped) {
        text.push_str("## Steps\n\n");
        for step in &plan.steps {
            one(&mut text, plan, step, logins, &timeline, scripts);
        }
        return text;
    }
    for hop in &hops {
        for section in &hop.sections {
            let to = if hops.len() > 1 {
                format!("To {}: ", hop.to)
            } else {
                String::new()
            };
            let _ = write!(text, "## {to}{}\n\n", section.part.title());
            for step in &section.steps {
                one(&mut text, plan, step, logins, &timeline, scripts);
            }
        }
    }
    text
}

/// Each step comes after those that it waits for.
fn allowed(steps: &[&Step]) -> bool {
    let mut done = std::collections::BTreeSet::new();
    steps.iter().all(|step| {
        done.insert(&step.id);
        step.after.iter().all(|before| done.contains(before))
    })
}

fn one(
    text: &mut String,
    plan: &Plan,
    step: &Step,
    logins: &Logins,
    timeline: &Timeline<'_>,
    scripts: &mut Scripts,
) {
    if let Action::Barrier { holds } = &step.action {
        let _ = write!(
            text,
            "- [ ] {}: go on only when {}.\n\n",
            code(step.id.as_str()),
            prose(holds)
        );
        return;
    }
    let (start, _) = timeline.step(&step.id);
    let _ = write!(
        text,
        "### {}\n\n- [ ] {}. Why: {}. Takes about {}, {}; expected {} after the start.\n\n",
        code(step.id.as_str()),
        prose(&what(&step.action)),
        prose(&step.because),
        duration(step.expected_s),
        limits(step).unwrap_or_default(),
        duration(start),
    );
    for line in by_hand(plan, step) {
        match line {
            Do::OnHost(host, commands) => {
                let _ = write!(text, "On {}:\n\n```sh\n", code(host.as_str()));
                for command in commands {
                    let _ = writeln!(text, "{}", scripts.call(&command));
                }
                text.push_str("```\n\n");
            }
            Do::OwnOnHost(host, line) => {
                let _ = write!(
                    text,
                    "On {}:\n\n```sh\n{line}\n```\n\n",
                    code(host.as_str())
                );
            }
            Do::LookAt(host, queries) => {
                let _ = write!(text, "On {}, to look:\n\n```sh\n", code(host.as_str()));
                for query in queries {
                    let _ = writeln!(text, "{}", look(scripts, &query));
                }
                text.push_str("```\n\n");
            }
            Do::Here(lines) => {
                text.push_str("Here:\n\n```sh\n");
                for line in lines {
                    let _ = writeln!(text, "{line}");
                }
                text.push_str("```\n\n");
            }
            Do::HereFrom(host, line) => {
                let line = line.replace("{login}", &login(logins, host));
                let _ = write!(text, "Here:\n\n```sh\n{line}\n```\n\n");
            }
            Do::See(words) => {
                let _ = write!(text, "Must show: {}.\n\n", prose(&words));
            }
        }
    }
}

/// A question to a host; what answers in the scripts' own form is made readable.
fn look(scripts: &mut Scripts, query: &Query) -> String {
    let command = query.command();
    let call = scripts.call(&command);
    if command.argv.first().is_some_and(|program| program == "sh") {
        format!("{call} | sh {DIRECTORY}/show")
    } else {
        call
    }
}

/// What is on the page for one step: for pages that show steps one by one. Each block is where and what.
#[must_use]
pub fn blocks(plan: &Plan, step: &Step) -> Vec<(String, String)> {
    let mut scripts = Scripts::default();
    by_hand(plan, step)
        .into_iter()
        .filter_map(|line| match line {
            Do::OnHost(host, commands) => Some((
                format!("on {host}"),
                commands
                    .iter()
                    .map(|command| scripts.call(command))
                    .collect::<Vec<_>>()
                    .join("\n"),
            )),
            Do::OwnOnHost(host, line) => Some((format!("on {host}"), line)),
            Do::LookAt(host, queries) => Some((
                format!("on {host}, to look"),
                queries
                    .iter()
                    .map(|query| look(&mut scripts, query))
                    .collect::<Vec<_>>()
                    .join("\n"),
            )),
            Do::Here(lines) => Some(("here".to_owned(), lines.join("\n"))),
            Do::HereFrom(host, line) => Some((
                "here".to_owned(),
                line.replace("{login}", &format!("ssh {} sudo", quoted(host.as_str()))),
            )),
            Do::See(_) => None,
        })
        .collect()
}
