//! What the declaration brings along: a server that is asked, a command that is run.

use super::Do;
use crate::host::command::with_environment;
use crate::plan::data::{Action, PrometheusServer, SecretSource};
use crate::report::runbook::shell::{command_line, quoted};

/// How a Prometheus server is asked. The token goes to curl by its stdin, so that no list of processes shows it.
pub(super) fn asked(server: &PrometheusServer, query: &str) -> String {
    let mut words = vec!["curl", "--silent", "--show-error", "--max-time", "30"];
    if let Some(file) = &server.ca_file {
        words.extend(["--cacert", file.as_str()]);
    }
    if server.token.is_some() {
        words.extend(["--header", "@-"]);
    }
    let query = format!("query={query}");
    let url = format!("{}/api/v1/query", server.url);
    words.extend(["--data-urlencode", query.as_str(), url.as_str()]);
    let curl = command_line(words);
    let header = "printf 'Authorization: Bearer %s\\n'";
    match &server.token {
        None => curl,
        Some(SecretSource::Env(variable)) => format!("{header} \"${variable}\" | {curl}"),
        Some(SecretSource::File(path)) => {
            format!("{header} \"$(cat {})\" | {curl}", quoted(path))
        }
    }
}

/// A hook with its check before and after it.
pub(super) fn hook(action: &Action) -> Vec<Do<'_>> {
    let Action::Hook {
        host,
        run,
        check,
        env,
        directory,
        reboots,
        ..
    } = action
    else {
        return Vec::new();
    };
    let command = |words: &[String]| {
        let words = with_environment(words, env);
        let words = command_line(words.iter().map(String::as_str));
        match host {
            Some(host) => Do::OwnOnHost(host, words),
            None => {
                let directory = quoted(directory.as_deref().unwrap_or("."));
                Do::Here(vec![format!("(cd {directory} && {words})")])
            }
        }
    };
    let mut todo = Vec::new();
    if let Some(check) = check {
        todo.push(command(check));
        todo.push(Do::See(
            "where the exit status is 0, nothing is left to do: leave out the rest of this step"
                .to_owned(),
        ));
    }
    todo.push(command(run));
    let status = match reboots {
        true => "exit status 0, or the host reboots: wait until it answers again",
        false => "exit status 0",
    };
    todo.push(Do::See(status.to_owned()));
    if let Some(check) = check {
        todo.push(command(check));
        todo.push(Do::See("exit status 0".to_owned()));
    }
    todo
}
