//! Gates that ask a Prometheus server: what counts, what does not, for how long; and the client, against a server that is
//! scripted byte by byte.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod tls;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use async_trait::async_trait;

use crate::world::plans::{Around, Nobody, go_with, never, plan, step};
use crate::world::{Memory, Sim};
use refit::adapters::clock::RealClock;
use refit::adapters::prometheus::{Prometheus, ready};
use refit::cluster::model::NodeName;
use refit::documents::settings::{
    Condition, Gate, GatePoint, NoData, PrometheusServer, SecretSource,
};
use refit::plan::data::{Action, Plan};
use refit::ports::{Metrics, MetricsError, MetricsServer, Sample, SecretFrom, World};
use refit::report::status::{Around as Told, status};
use refit::run::event::{Event, Halt, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::read;

const TOKEN: &str = "s3cr3t-T0ken";

fn gate(server: PrometheusServer, no_data: NoData, for_s: u64) -> Plan {
    let gate = Action::Gate {
        gate: Gate {
            name: "error-rate".into(),
            at: GatePoint::AfterEachWave,
            condition: Condition::Prometheus {
                server,
                query: "sum by (code) (rate(x[5m]))".into(),
                expect: "< 1".parse().unwrap(),
                no_data,
                for_s,
                timeout_s: 300,
            },
        },
    };
    let cordon = Action::Cordon {
        node: NodeName::new("w1"),
    };
    plan(vec![
        step("gate/error-rate", &[], gate),
        step("w1/cordon", &["gate/error-rate"], cordon),
    ])
}

fn somewhere() -> PrometheusServer {
    PrometheusServer {
        url: "https://prom.example.org".into(),
        token: None,
        ca_file: None,
    }
}

type Answer = Result<Vec<Sample>, MetricsError>;

/// Answers one thing after another, each after a second; the last one stays.
struct Script(RefCell<VecDeque<Answer>>);

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(RefCell::new(answers.into_iter().collect()))
    }
}

#[async_trait(?Send)]
impl Metrics for Script {
    async fn query(&self, server: MetricsServer<'_>, query: &str, at_most: Duration) -> Answer {
        assert_eq!(server.url, "https://prom.example.org");
        assert_eq!(query, "sum by (code) (rate(x[5m]))");
        let next = |answers: &mut VecDeque<Answer>| match answers.len() {
            1 => answers.front().cloned(),
            _ => answers.pop_front(),
        };
        let answer = next(&mut self.0.borrow_mut());
        tokio::time::sleep(Duration::from_secs(1).min(at_most)).await;
        answer.unwrap()
    }
}

fn value(value: f64) -> Answer {
    let series = String::new();
    Ok(vec![Sample { series, value }])
}

fn codes(values: &[(&str, f64)]) -> Answer {
    let sample = |(code, value): &(&str, f64)| Sample {
        series: format!("{{code=\"{code}\"}}"),
        value: *value,
    };
    Ok(values.iter().map(sample).collect())
}

fn said(events: &[Stamped]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match &event.event {
            Event::StepWaiting { on, .. } => Some(on.as_str()),
            _ => None,
        })
        .collect()
}

fn note(events: &[Stamped]) -> &str {
    events
        .iter()
        .find_map(|event| match &event.event {
            Event::StepDone { note, .. } => note.as_deref(),
            _ => None,
        })
        .unwrap()
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Halted {
            why: Halt::Failed { .. },
            failures,
            ..
        } => &failures[0].1,
        other => unreachable!("{other:?}"),
    }
}

struct Ended {
    outcome: Outcome,
    events: Vec<Stamped>,
    took: Duration,
    journal: Vec<u8>,
}

/// The gate and the cordon that waits for it; the node is cordoned if and only if the run finishes.
async fn carry_out(
    plan: &Plan,
    metrics: &dyn Metrics,
    clock: Option<&RealClock>,
    stop: impl Future<Output = ()>,
) -> Ended {
    let sim = Sim::usual();
    let began = sim.now();
    let around = Around {
        store: &sim,
        people: &Nobody,
        programs: &Nobody,
        metrics,
    };
    let world = match clock {
        None => sim.world(),
        Some(clock) => World {
            clock,
            ..sim.world()
        },
    };
    let mut memory = Memory::default();
    let (outcome, events) = go_with(plan, world, around, &[], &mut memory, stop).await;
    let cordoned = !sim.inner.borrow().changes.is_empty();
    assert_eq!(cordoned, matches!(outcome, Outcome::Finished { .. }));
    Ended {
        outcome,
        events,
        took: sim.now() - began,
        journal: memory.text,
    }
}

async fn scripted(no_data: NoData, for_s: u64, answers: impl IntoIterator<Item = Answer>) -> Ended {
    let plan = gate(somewhere(), no_data, for_s);
    carry_out(&plan, &Script::new(answers), None, never()).await
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_until_every_value_is_as_expected() {
    let fails = codes(&[("500", 3.25), ("200", 0.0), ("503", f64::NAN)]);
    let lost = Err(MetricsError::Unanswered("connection refused".into()));
    let holds = codes(&[("500", 0.25), ("200", 0.0)]);
    let ended = scripted(NoData::Fail, 0, [fails, lost, holds]).await;
    assert!(matches!(ended.outcome, Outcome::Finished { .. }));
    assert_eq!(
        said(&ended.events),
        [
            "values < 1; 2 of 3 are not: {code=\"500\"} is 3.25; {code=\"503\"} is NaN",
            "an answer of https://prom.example.org: connection refused",
        ]
    );
    assert_eq!(note(&ended.events), "2 values, 0 to 0.25; expected < 1");
    assert!(ended.took < Duration::from_secs(25), "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn what_never_holds_halts_the_run_and_tells_what_was_asked_and_what_came_back() {
    for (answer, no_data, words) in [
        (
            codes(&[("500", 3.25)]),
            NoData::Fail,
            "{code=\"500\"} is 3.25",
        ),
        (value(f64::NAN), NoData::Pass, "it is NaN"),
        (
            Ok(vec![]),
            NoData::Fail,
            "has no data. Where that is well, `noData: pass`",
        ),
        (
            Err(MetricsError::Unanswered("it answers 500".into())),
            NoData::Pass,
            "has no answer of https://prom.example.org: it answers 500",
        ),
    ] {
        let ended = scripted(no_data, 0, [answer]).await;
        let said = why(&ended.outcome);
        for words in [
            "does not hold after 300 s",
            "`sum by (code) (rate(x[5m]))`",
            "https://prom.example.org",
            words,
            "Nothing that waits for it was begun; `refit resume` asks again",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(ended.took < Duration::from_secs(320), "{:?}", ended.took);
    }
}

#[tokio::test(start_paused = true)]
async fn no_data_passes_where_it_is_declared_to() {
    let ended = scripted(NoData::Pass, 0, [Ok(vec![])]).await;
    assert!(matches!(ended.outcome, Outcome::Finished { .. }));
    assert_eq!(note(&ended.events), "no data; expected < 1");
}

#[tokio::test(start_paused = true)]
async fn a_break_begins_the_time_anew() {
    for broken in [
        value(1.0),
        Ok(vec![]),
        Err(MetricsError::Unanswered("no answer".into())),
        Err(MetricsError::Refused("it answers 401".into())),
    ] {
        let mut answers = vec![value(0.5); 6];
        answers.extend([broken, value(0.5)]);
        let ended = scripted(NoData::Fail, 120, answers).await;
        assert!(matches!(ended.outcome, Outcome::Finished { .. }));
        // Six times, a break, and then two minutes.
        let (least, most) = (6 * 11 + 120, 6 * 11 + 120 + 40);
        assert!(ended.took >= Duration::from_secs(least), "{:?}", ended.took);
        assert!(ended.took < Duration::from_secs(most), "{:?}", ended.took);
        assert_eq!(
            said(&ended.events)[0],
            "values to stay < 1 (now 0.5) for 120 s"
        );
    }
    // One that breaks again and again never holds for long enough, and the error tells of the last break.
    let answers = (0..100).map(|n| if n % 10 == 5 { value(7.0) } else { value(0.5) });
    let ended = scripted(NoData::Fail, 120, answers).await;
    let said = why(&ended.outcome);
    assert!(
        said.contains("for 120 s without a break. The last break: "),
        "{said}"
    );
    assert!(said.contains("it is 7"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_believed_after_a_while() {
    let refused = || Err(MetricsError::Refused("it answers 401 Unauthorized".into()));
    let ended = scripted(NoData::Fail, 0, [refused()]).await;
    let said = why(&ended.outcome);
    assert!(
        said.contains("401 Unauthorized. Nothing that waits"),
        "{said}"
    );
    assert!(ended.took >= Duration::from_secs(60) && ended.took < Duration::from_secs(90));
    // An API server that it is asked through has restarted.
    let ended = scripted(NoData::Fail, 0, [refused(), refused(), value(0.5)]).await;
    assert!(matches!(ended.outcome, Outcome::Finished { .. }));
    // What never passes is told at once.
    let bad = Err(MetricsError::Unusable("parse error".into()));
    let ended = scripted(NoData::Fail, 0, [bad]).await;
    assert!(
        why(&ended.outcome).contains("cannot be asked of https://prom.example.org: parse error")
    );
    assert!(ended.took < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_the_last_value_and_a_stop_does_not_wait() {
    let plan = gate(somewhere(), NoData::Fail, 0);
    let script = Script::new([value(3.0), value(2.5)]);
    let stop = tokio::time::sleep(Duration::from_secs(25));
    let ended = carry_out(&plan, &script, None, stop).await;
    let Outcome::Halted {
        why: Halt::Interrupted,
        ..
    } = ended.outcome
    else {
        unreachable!("{:?}", ended.outcome)
    };
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    let text = String::from_utf8(ended.journal).unwrap();
    // The same, while it was under way.
    let cut: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("halted"))
        .collect();
    let past = read(format!("{}\n", cut.join("\n")).as_bytes()).unwrap();
    let around = Told {
        refit: "refit".into(),
        run: "r1".into(),
        process: None,
        put_aside: false,
    };
    let told = status(&plan, &past.state, around).render(jiff::Timestamp::UNIX_EPOCH);
    assert!(told.contains("values < 1; it is 2.5"), "{told}");
}

/// A server that gives each connection one answer and keeps what it was asked.
struct Server {
    url: String,
    asked: Receiver<String>,
}

fn serve(answers: Vec<Vec<u8>>) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/prom", listener.local_addr().unwrap());
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))?;
                (body.len() == length.parse::<usize>().unwrap()).then_some(text)
            };
            let text = loop {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
                if let Some(text) = whole(&request) {
                    break text;
                }
                assert!(read > 0, "{request:?}");
            };
            tell.send(text).unwrap();
            // One that has heard enough hangs up.
            let _ = stream.write_all(&answer);
        }
    });
    Server { url, asked }
}

fn answer(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n{body}").into_bytes()
}

fn vector(code: &str, value: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"code":"{code}"}},"value":[1795000000.1,"{value}"]}}]}}}}"#
    );
    answer("200 OK", "content-type: application/json\r\n", &body)
}

fn token_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{TOKEN}").unwrap();
    file
}

fn told(ended: &Ended) -> String {
    let outcome = format!("{:?}", ended.outcome);
    format!(
        "{outcome} {:?} {}",
        ended.events,
        String::from_utf8_lossy(&ended.journal)
    )
}

#[tokio::test]
async fn the_executor_asks_a_server_and_its_token_is_told_to_nobody_else() {
    let file = token_file();
    let token = file.path().to_string_lossy().into_owned();
    // A server that says the token back, in a label and in an error.
    let error = format!(
        r#"{{"status":"error","errorType":"bad_data","error":"parse error; you said {TOKEN}"}}"#
    );
    let server = serve(vec![
        vector(&format!("200 {TOKEN}"), "0.5"),
        answer("400 Bad Request", "", &error),
        answer("200 OK", "", &"x".repeat(2 * 1024 * 1024)),
    ]);
    let plan = gate(
        PrometheusServer {
            url: server.url.clone(),
            token: Some(SecretSource::File(token)),
            ca_file: None,
        },
        NoData::Fail,
        0,
    );
    assert!(!plan.to_json().unwrap().contains(TOKEN));
    let clock = RealClock::new();

    let ended = carry_out(&plan, &Prometheus, Some(&clock), never()).await;
    assert!(
        matches!(ended.outcome, Outcome::Finished { .. }),
        "{:?}",
        ended.outcome
    );
    assert!(!told(&ended).contains(TOKEN));
    let asked = server.asked.recv().unwrap().to_lowercase();
    assert!(
        asked.starts_with("post /prom/api/v1/query http/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains(&format!(
        "authorization: bearer {}\r\n",
        TOKEN.to_lowercase()
    )));
    assert!(
        asked.contains("query=sum+by+%28code%29+%28rate%28x%5b5m%5d%29%29&timeout=30s"),
        "{asked}"
    );

    let ended = carry_out(&plan, &Prometheus, Some(&clock), never()).await;
    let said = why(&ended.outcome);
    assert!(
        said.contains("it answers 400 Bad Request: bad_data: parse error"),
        "{said}"
    );
    assert!(
        said.contains("(the token)") && !told(&ended).contains(TOKEN),
        "{said}"
    );

    let ended = carry_out(&plan, &Prometheus, Some(&clock), never()).await;
    let said = why(&ended.outcome);
    assert!(
        said.contains("longer than 1048576 bytes; let the query aggregate"),
        "{said}"
    );
}

async fn ask(server: MetricsServer<'_>) -> Answer {
    Prometheus
        .query(server, "up", Duration::from_secs(20))
        .await
}

#[tokio::test]
async fn answers_of_a_server_are_told_apart() {
    let elsewhere = serve(vec![vector("200", "0")]);
    let redirect = format!("location: {}/login?secret=1\r\n", elsewhere.url);
    let part = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\"".to_vec();
    let server = serve(vec![
        answer("500 Internal Server Error", "", "<html>oops</html>"),
        answer("401 Unauthorized", "", ""),
        answer("403 Forbidden", "", ""),
        answer("302 Found", &redirect, ""),
        answer("400 Bad Request", "", "<html>a proxy's</html>"),
        answer("503 Service Unavailable", "", &"x".repeat(2 * 1024 * 1024)),
        part,
        answer("200 OK", "", "<html>a login page</html>"),
    ]);
    let url = MetricsServer {
        url: &server.url,
        token: None,
        ca_file: None,
    };
    let file = token_file();
    let with_token = MetricsServer {
        token: Some(SecretFrom::File(file.path())),
        ..url
    };
    let unanswered = |answer: Answer, words: &str| match answer {
        Err(MetricsError::Unanswered(why)) => assert!(why.contains(words), "{words}: {why}"),
        other => unreachable!("{words}: {other:?}"),
    };
    let refused = |answer: Answer, words: &str| match answer {
        Err(MetricsError::Refused(why)) => {
            assert!(
                why.contains(words) && !why.contains("secret"),
                "{words}: {why}"
            );
        }
        other => unreachable!("{words}: {other:?}"),
    };
    unanswered(ask(url).await, "it answers 500 Internal Server Error");
    refused(ask(url).await, "401 Unauthorized; no token is declared");
    refused(ask(with_token).await, "is not taken");
    refused(
        ask(with_token).await,
        "/prom/login; redirects are not followed",
    );
    assert!(elsewhere.asked.try_recv().is_err());
    unanswered(ask(url).await, "it answers 400");
    unanswered(ask(url).await, "it answers 503");
    unanswered(ask(url).await, "its answer was cut off");
    unanswered(ask(url).await, "not that of a Prometheus API");
}

#[tokio::test]
async fn a_server_that_says_nothing_or_is_not_there_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = MetricsServer {
        url: &url,
        token: None,
        ca_file: None,
    };
    let answer = Prometheus.query(server, "up", Duration::from_secs(1)).await;
    assert_eq!(
        answer,
        Err(MetricsError::Unanswered("no answer within 1 s".into()))
    );
    drop(listener);
    assert_eq!(
        ask(server).await,
        Err(MetricsError::Unanswered("connection refused".into()))
    );
}

#[tokio::test]
async fn what_is_needed_to_ask_is_looked_at_beforehand() {
    let server = |token, ca_file| MetricsServer {
        url: "https://127.0.0.1:1",
        token,
        ca_file,
    };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let none = Path::new("/no/such/file");
    let empty = put("empty", " \n");
    let two = put("two", &format!("{TOKEN}\nmore"));
    let text = put("not-pem", "hello");
    let broken = put(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
    );
    let unset = SecretFrom::Variable("REFIT_TEST_UNSET");
    let named = "the environment variable REFIT_TEST_UNSET is not set";
    for (token, ca_file, words) in [
        (Some(unset), None, named),
        (
            Some(SecretFrom::File(none)),
            None,
            "/no/such/file cannot be read",
        ),
        (Some(SecretFrom::File(&empty)), None, "is empty"),
        (Some(SecretFrom::File(&two)), None, "more than a token"),
        (None, Some(none), "/no/such/file cannot be read"),
        (None, Some(text.as_path()), "holds no certificate"),
        (None, Some(broken.as_path()), "the authorities in"),
    ] {
        let why = ready(server(token, ca_file)).unwrap_err();
        assert!(
            why.contains(words) && !why.contains(TOKEN),
            "{words}: {why}"
        );
    }
    // One that Cargo sets for its tests.
    let there = SecretFrom::Variable("CARGO_PKG_VERSION");
    let file = token_file();
    for token in [None, Some(there), Some(SecretFrom::File(file.path()))] {
        assert_eq!(ready(server(token, None)), Ok(()));
    }
}
