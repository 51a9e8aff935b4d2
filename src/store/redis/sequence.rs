//! Commands on the keys of one slot.

use std::borrow::Cow;

use redis::{Cmd, Pipeline, ToRedisArgs};

use super::partitions::Slot;
use super::scripts::Script;

/// Commands on the keys of one slot, which are done in this order. Only the first may write.
#[derive(Debug)]
pub(super) struct Sequence<'s> {
    pub(super) slot: Slot,
    pub(super) commands: Pipeline,
    /// The script that the first command calls.
    pub(super) script: Option<&'s Script>,
    pub(super) repeat: Repeat,
}

/// The commands that may be sent again after the connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Commands that may write.
    IfNotSent,
    /// Commands that only read.
    IfClosed,
}

impl<'s> Sequence<'s> {
    /// Makes a sequence of a command that writes.
    pub(super) fn write(slot: Slot, command: Cmd) -> Self {
        Self { slot, commands: pipeline([command]), script: None, repeat: Repeat::IfNotSent }
    }

    /// Makes a sequence of commands that only read.
    pub(super) fn read(slot: Slot, commands: impl IntoIterator<Item = Cmd>) -> Self {
        Self { slot, commands: pipeline(commands), script: None, repeat: Repeat::IfClosed }
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// The commands after the first so many. Once some are done only a few of them, because the others were redirected, and
    /// those after them may be, too.
    pub(super) fn after(&self, done: usize) -> Cow<'_, Pipeline> {
        if done == 0 {
            return Cow::Borrowed(&self.commands);
        }
        Cow::Owned(pipeline(self.commands.cmd_iter().skip(done).take(MAX_REPEATED).cloned()))
    }

    /// One of the commands, to be done by a node that does not have the slot yet.
    pub(super) fn asking(&self, index: usize) -> Pipeline {
        // In the same write, for it counts only for the next command on the connection.
        pipeline([redis::cmd("ASKING")].into_iter().chain(self.commands.cmd_iter().nth(index).cloned()))
    }

    /// Returns the commands that may be sent again after the first so many were done.
    pub(super) fn repeat_after(&self, done: usize) -> Repeat {
        if done == 0 { self.repeat } else { Repeat::IfClosed }
    }
}

/// A call of a script.
#[derive(Debug)]
pub(super) struct ScriptCall<'s> {
    script: &'s Script,
    slot: Slot,
    pub(super) command: Cmd,
}

impl<'s> ScriptCall<'s> {
    /// Begins a call with these keys, all of them in this slot.
    pub(super) fn new(script: &'s Script, slot: Slot, keys: &[&[u8]]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.hash()).arg(keys.len()).arg(keys);
        Self { script, slot, command }
    }

    /// Adds an argument.
    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.command.arg(argument);
        self
    }
}

impl<'s> From<ScriptCall<'s>> for Sequence<'s> {
    fn from(ScriptCall { script, slot, command }: ScriptCall<'s>) -> Self {
        Self { script: Some(script), ..Self::write(slot, command) }
    }
}

pub(super) fn pipeline(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let commands = commands.into_iter();
    let mut pipeline = Pipeline::with_capacity(commands.size_hint().0);
    commands.for_each(|command| _ = pipeline.add_command(command));
    pipeline
}

/// How many commands are sent together to a node that has redirected one of their sequence.
const MAX_REPEATED: usize = 16;
