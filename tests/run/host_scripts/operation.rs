//! The unit in which operations run, and what it leaves on disk.

use super::*;
use std::time::Duration;

/// `systemd-run`, which starts what it is given apart from its caller, and `systemctl`, which knows whether it still runs.
const SYSTEMD_RUN: &str = r#"
note "$@"
while [ "${1#--}" != "$1" ]; do shift; done
setsid "$@" > /dev/null 2>&1 < /dev/null &
echo $! > "$ROOT/unit"
"#;
const SYSTEMCTL: &str = r#"
if [ -e "$ROOT/unit" ] && kill -0 "$(cat "$ROOT/unit")" 2>/dev/null; then echo active; else echo inactive; fi
"#;

fn host() -> Machine {
    Machine::new(&[
        ("systemd-run", SYSTEMD_RUN),
        ("systemctl", SYSTEMCTL),
        // the machine's own, because the unit's runner waits with it
        ("sleep", "exec /bin/sleep \"$@\""),
        ("id", "echo 0"),
        // no power is cut here
        ("sync", ""),
    ])
}

fn op(name: &str) -> OpRef {
    OpRef {
        run: "r1".to_owned(),
        op: name.to_owned(),
    }
}

/// Appends a word to a file, and ends with a status.
fn command(machine: &Machine, status: i32) -> Command {
    let file = machine.path("/done");
    Command {
        argv: vec![
            "sh".to_owned(),
            "-c".to_owned(),
            "printf '%s\\n' \"$2\" >> \"$1\"; echo said; exit \"$3\"".to_owned(),
            "x".to_owned(),
            file.to_str().unwrap().to_owned(),
            "a  b\n$(id)'\"%h".to_owned(),
            status.to_string(),
        ],
        stdin: vec![],
        root: true,
    }
}

fn answer(machine: &Machine, command: &Command) -> Answer {
    let output = machine.run(command);
    unit::read(&output).unwrap_or_else(|error| unreachable!("{error}: {output:?}"))
}

const WAIT: Duration = Duration::from_secs(20);

#[test]
fn an_operation_runs_once_under_its_name_and_its_end_is_kept() {
    let machine = host();
    let (first, command) = (op("w1/x"), command(&machine, 3));
    assert_eq!(
        answer(&machine, &unit::state(&first)),
        Answer::State(OpState::Absent)
    );
    for call in [
        unit::start(&first, &command, 1, WAIT),
        unit::start(&first, &command, 1, WAIT),
        unit::wait(&first, WAIT),
        unit::state(&first),
    ] {
        let Answer::State(OpState::Ended(OpEnd { status, output, .. })) = answer(&machine, &call)
        else {
            unreachable!("it has ended");
        };
        assert_eq!((status, output.as_str()), (3, "said"));
    }
    let done = fs::read_to_string(machine.path("/done")).unwrap();
    assert_eq!(done, "a  b\n$(id)'\"%h\n");
    assert_eq!(machine.calls().len(), 1);
}

#[test]
fn an_operation_that_was_cut_off_is_lost() {
    let machine = host();
    let lost = op("w1/x");
    let slug = unit::slug("w1/x");
    machine.write(&format!("/var/lib/refit/runs/r1/{slug}.started"), "boot\n");
    assert_eq!(
        answer(&machine, &unit::state(&lost)),
        Answer::State(OpState::Lost)
    );
}

/// Who asks while another process starts it must not take it for lost, and begin it under another name.
#[test]
fn an_operation_that_is_just_being_started_is_not_lost() {
    let machine = host();
    machine.tool("systemd-run", &format!("/bin/sleep 1\n{SYSTEMD_RUN}"));
    let slow = Command {
        argv: ["/bin/sleep", "1"].map(str::to_owned).to_vec(),
        stdin: vec![],
        root: true,
    };
    let op = op("w1/x");
    let started = machine.path("/var/lib/refit/runs/r1/w1=2fx.started");
    std::thread::scope(|scope| {
        let start = scope.spawn(|| answer(&machine, &unit::start(&op, &slow, 1, WAIT)));
        while !started.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_ne!(
            answer(&machine, &unit::state(&op)),
            Answer::State(OpState::Lost)
        );
        let ended = start.join().unwrap();
        assert!(
            matches!(&ended, Answer::State(OpState::Ended(end)) if end.status == 0),
            "{ended:?}"
        );
    });
}

/// An outcome that is there but empty would be an answer that nobody can read, for ever; none at all is a lost operation.
#[test]
fn a_full_disk_leaves_no_outcome_rather_than_an_empty_one() {
    let machine = host();
    let op = op("w1/x");
    let start = unit::start(&op, &command(&machine, 0), 1, WAIT);
    let base = machine.path("/var/lib/refit/runs/r1/w1=2fx");
    fs::create_dir_all(base.parent().unwrap()).unwrap();
    for (ending, text) in [("label", "x\n"), ("argv", "2\0true\0x\0"), ("log", "")] {
        fs::write(base.with_extension(ending), text).unwrap();
    }
    machine.write("/var/lib/refit/current", "r1\tw1/x\tx\n");
    std::os::unix::fs::symlink("/dev/full", base.with_extension("outcome.new")).unwrap();
    let runner = Command {
        argv: vec![
            "sh".to_owned(),
            "-c".to_owned(),
            start.argv[12].clone(),
            "runner".to_owned(),
            "/var/lib/refit/runs/r1/w1=2fx".to_owned(),
        ],
        stdin: vec![],
        root: true,
    };
    // run as `sh FILE BASE`, the runner has its base as $1
    let output = machine.run(&runner);
    assert!(base.with_extension("status").exists(), "{output:?}");
    assert!(
        fs::symlink_metadata(base.with_extension("outcome")).is_err(),
        "{output:?}"
    );
}

/// A process that slept while another took the cluster over begins nothing; what it began before is still found.
#[test]
fn nothing_is_begun_for_a_lower_token_than_the_host_was_told() {
    let machine = host();
    let told = |token| unit::read_token(&machine.run(&unit::fence(token)));
    let command = command(&machine, 0);
    let begin =
        |step: &str, token| answer(&machine, &unit::start(&op(step), &command, token, WAIT));
    let ended = |answer: &Answer| matches!(answer, Answer::State(OpState::Ended(_)));
    assert!(
        ended(&begin("w1/x", 4)),
        "a host that was told nothing learns it"
    );
    assert_eq!(told(3), Ok(4));
    assert_eq!(told(7), Ok(7));
    assert_eq!(begin("w1/y", 4), Answer::Overtaken(7));
    assert_eq!(
        answer(&machine, &unit::state(&op("w1/y"))),
        Answer::State(OpState::Absent)
    );
    assert!(ended(&begin("w1/x", 4)));
    assert!(ended(&begin("w1/y", 7)));
    assert!(ended(&begin("w1/z", 8)));
    assert_eq!(told(7), Ok(8));
    machine.write("/var/lib/refit/token", "seven\n");
    assert!(unit::read(&machine.run(&unit::start(&op("w1/q"), &command, 9, WAIT))).is_err());
    assert!(told(9).is_err(), "what cannot be read is not overwritten");
}
