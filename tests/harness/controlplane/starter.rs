//! A thread that starts programs for whoever asks. They end with the thread that started them, and the thread of a test
//! ends before what tests share does.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use crate::harness::program::Program;

/// Programs that it has started end with it.
pub struct Starter {
    /// Where commands are sent, with the place for the program; `None` as it ends.
    commands: Option<Sender<(Command, Sender<Program>)>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Starter ===

impl Starter {
    pub fn new() -> Self {
        let (commands, asked) = channel::<(Command, Sender<Program>)>();
        let thread = std::thread::Builder::new().name("starter".into());
        let start = move || asked.into_iter().for_each(|(command, place)| drop(place.send(Program::start(command))));
        let thread = thread.spawn(start).expect("a thread");
        Self { commands: Some(commands), thread: Some(thread) }
    }

    pub fn start(&self, command: Command) -> Program {
        let (place, started) = channel();
        self.commands.as_ref().expect("it has not ended").send((command, place)).expect("it runs");
        started.recv().expect("the program starts")
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        drop(self.commands.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}
