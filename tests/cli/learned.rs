//! How long steps took in earlier runs, on the way from their journals into facts.

use std::io::{Read as _, Write as _};

use refit::plan::data::{Action, Plan};
use refit::run::event::{Event, How};

use crate::desk::{Desk, RUN, started};

/// An API that knows who it is, and nothing else.
fn api(desk: &Desk, uid: &str) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap();
    desk.write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        ),
    );
    let namespace = serde_json::json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": uid},
    });
    let nothing = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "no",
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !String::from_utf8_lossy(&asked).contains("\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(read @ 1..) => asked.extend_from_slice(&buffer[..read]),
                    Ok(0) | Err(_) => break,
                }
            }
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let (status, body) = match asked.starts_with("GET /api/v1/namespaces/kube-system ") {
                true => ("200 OK", namespace.to_string()),
                false => ("404 Not Found", nothing.to_string()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}",
                body.len()
            );
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
}

/// The worker's drain took 41 minutes, everything else some seconds.
fn slow_drain(plan: &Plan) -> Vec<Event> {
    let mut events = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        events.push(started(plan, at));
        let slow = matches!(&step.action, Action::Drain { node, .. } if node.as_str() == "w1");
        events.push(Event::StepDone {
            step: step.id.clone(),
            how: How::Acted,
            note: None,
            took_ms: if slow { 41 * 60_000 } else { 1200 },
        });
    }
    events.push(Event::Finished {
        own_ms: 10,
        wall_ms: 1000,
    });
    events
}

#[test]
fn a_look_at_the_cluster_comes_with_what_its_earlier_runs_took() {
    let desk = Desk::new();
    let uid = "b0a4";
    desk.record(slow_drain);
    let inspect = |desk: &Desk| -> serde_json::Value {
        let out = desk.refit(&["inspect", "upgrade.yaml"]).ends(0, &[]).out;
        serde_json::from_str(&out).unwrap()
    };
    api(&desk, uid);
    let durations = &inspect(&desk)["durations"];
    assert_eq!(durations["runs"], 1, "{durations:#}");
    assert_eq!(durations["drains"]["w1"], 41 * 60);
    assert_eq!(durations["drains"]["w2"], 2);
    assert_eq!(durations["kinds"]["drain"], 41 * 60);
    assert_eq!(durations["origins"]["drains"]["w1"], RUN);
    // Of another cluster, or before its end, a run tells nothing.
    api(&desk, "c0ffee00-0000-4000-8000-000000000000");
    assert!(inspect(&desk)["durations"].is_null());
    let desk = Desk::new();
    desk.record(|plan| slow_drain(plan).into_iter().take(20).collect());
    api(&desk, uid);
    assert!(inspect(&desk)["durations"].is_null());
}

/// `apply` looks as `inspect` does, and blocks for what it cannot see: nothing is begun.
#[test]
fn apply_looks_the_same_way() {
    let desk = Desk::new();
    api(&desk, "c0ffee00-0000-4000-8000-000000000000");
    desk.refit(&["apply", "upgrade.yaml", "--yes"])
        .ends(3, &["blocked"]);
    assert!(!desk.path(".refit/runs").exists());
}
