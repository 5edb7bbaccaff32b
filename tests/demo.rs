use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::program::{PLIMSOLL, Program, installed};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(PLIMSOLL);
    command.arg("demo").args(arguments);
    command
}

/// Runs a printed line in a shell until it answers with a list of values.
fn answers(line: &str) -> Value {
    let started = Instant::now();
    loop {
        let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
        let list: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if output.status.success() && list["items"].as_array().is_some_and(|items| !items.is_empty()) {
            return list;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{line}\n{}",
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_printed_commands_work_as_printed_and_ctrl_c_ends_it() {
    drop((installed("curl", "curl"), installed("kubectl", "kubernetes-client")));
    let mut program = Program::start(demo(&["--port", "0", "--duration", "5m"]));
    program.line(&["kubectl ", "get --raw"]);
    program.line(&["deployments.apps", "curl "]);
    let output = program.output();
    let commands: Vec<_> = output
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl ") || line.starts_with("kubectl "))
        .collect();
    assert_eq!(commands.len(), 3, "{output}");
    for command in commands {
        let list = answers(command);
        assert!(list["items"][0]["value"].is_string(), "{list:#}");
    }
    let started = Instant::now();
    program.signal("INT");
    assert_eq!(program.wait(Duration::from_secs(10)).code(), Some(0), "{}", program.output());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    program.line(&["Summary"]);
}

#[test]
fn a_compressed_day_scales_up_in_the_spike_and_down_after() {
    let mut program = Program::start(demo(&["--port", "0", "--speed", "8", "--seed", "7"]));
    assert_eq!(program.wait(Duration::from_secs(60)).code(), Some(0), "{}", program.output());
    let output = program.output();
    assert!(output.contains("queue_length above target"), "{output}");
    assert!(output.contains("all below target"), "{output}");
    assert!(output.contains("with a value and 0 with an error"), "{output}");
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = demo(&["--port", &port]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().count() == 1 && said.contains(&port) && said.contains("in use"), "{said}");
}
