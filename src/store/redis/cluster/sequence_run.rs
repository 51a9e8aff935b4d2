//! How far the commands of a sequence have come, in a cluster that sends them from node to node.

use std::borrow::Cow;
use std::sync::Arc;

use redis::{Pipeline, Value};

use super::redirection::Redirection;
use super::slots::Node;
use crate::store::redis::answer::server_error;
use crate::store::redis::connection::connections::Unanswered;
use crate::store::redis::connection::term::PrimaryTerm;
use crate::store::redis::failure::Failure;
use crate::store::redis::sequence::{Repeat, Sequence, pipeline};
use crate::store::redis::server_address::ServerAddress;

/// A sequence under way. A command that was answered is never sent again.
#[derive(Debug)]
pub(in crate::store::redis) struct SequenceRun<'q, 's> {
    pub(in crate::store::redis) sequence: &'q Sequence<'s>,
    answers: Vec<Value>,
    /// The next command has to be sent to the node that is getting the slot.
    pub(in crate::store::redis) asked: Option<ServerAddress>,
    loads_script: bool,
    was_closed: bool,
    /// The node that did the first command. `None`: no caller needs it.
    done_by: Option<DoneBy>,
}

/// The node that did a command, in this term.
#[derive(Debug)]
pub(in crate::store::redis) struct DoneBy {
    pub(in crate::store::redis) node: Arc<Node>,
    pub(in crate::store::redis) term: Arc<PrimaryTerm>,
}

/// The next step after the answers of a node.
#[derive(Debug)]
pub(in crate::store::redis) enum Next {
    Done,
    Again,
    /// Another node has the slot.
    Moved(ServerAddress),
    /// The key may be at this node, which is asked next.
    FollowAsk(ServerAddress),
    /// The keys of the next command are at two nodes.
    Split(Failure),
    Wait(Failure),
}

impl<'q, 's> SequenceRun<'q, 's> {
    pub(in crate::store::redis) const fn new(sequence: &'q Sequence<'s>) -> Self {
        Self { sequence, answers: Vec::new(), asked: None, loads_script: false, was_closed: false, done_by: None }
    }

    /// The commands that the next node gets, in one write.
    ///
    /// One that is getting the slot gets one command at a time. The commands after it may concern keys that are not there
    /// yet, and would find nothing.
    pub(in crate::store::redis) fn commands(&self) -> Cow<'q, Pipeline> {
        let commands = match self.asked {
            Some(_) => Cow::Owned(self.sequence.asking(self.answers.len())),
            None => self.sequence.after(self.answers.len()),
        };
        match self.sequence.script.filter(|_| self.loads_script) {
            Some(script) => Cow::Owned(pipeline([script.load()].into_iter().chain(commands.cmd_iter().cloned()))),
            None => commands,
        }
    }

    /// Takes the answers to [`Self::commands()`] of a node in this term.
    pub(in crate::store::redis) fn take(
        &mut self,
        node: &Arc<Node>,
        term: Option<&Arc<PrimaryTerm>>,
        answers: impl IntoIterator<Item = Value>,
    ) -> Result<Next, Failure> {
        let before = usize::from(self.loads_script) + usize::from(self.asked.is_some());
        let was_asked = self.asked.take();
        let mut answers = answers.into_iter();
        let prepared = answers.by_ref().take(before).collect::<Vec<_>>();
        let mut refused = prepared.iter().find_map(server_error).cloned();
        for answer in answers {
            if let Some(error) = server_error(&answer) {
                refused.get_or_insert_with(|| error.clone());
                break;
            }
            // It was done, so it is not sent again, whatever was said to the commands before it.
            refused = None;
            self.loads_script = false;
            if self.answers.is_empty() {
                self.done_by = term.map(|term| DoneBy { node: Arc::clone(node), term: Arc::clone(term) });
            }
            self.answers.push(answer);
        }
        let Some(error) = refused else { return Ok(if self.is_done() { Next::Done } else { Next::Again }) };
        let failure = node.connections.refused(&error);
        match Redirection::parse(&error, &node.address) {
            Some(Redirection::Moved(address)) => Ok(Next::Moved(address)),
            Some(Redirection::Ask(address)) => {
                self.asked = Some(address.clone());
                Ok(Next::FollowAsk(address))
            }
            Some(Redirection::NoScript) if self.sequence.script.is_some() => {
                // It was loaded, and somebody flushed the scripts before the call.
                let is_flushed = self.loads_script;
                (self.loads_script, self.asked) = (true, was_asked);
                Ok(if is_flushed { Next::Wait(failure) } else { Next::Again })
            }
            Some(Redirection::Split) => Ok(Next::Split(failure)),
            Some(Redirection::Wait) => Ok(Next::Wait(failure)),
            Some(Redirection::NoScript) | None => Err(failure),
        }
    }

    /// Fails if what was not answered may have been done, and would be done twice.
    pub(in crate::store::redis) fn take_failure(&mut self, unanswered: Unanswered) -> Result<(), Failure> {
        match unanswered {
            Unanswered::NotSent(_) => Ok(()),
            Unanswered::Closed(_) if self.repeat() == Repeat::IfClosed && !self.was_closed => {
                self.was_closed = true;
                Ok(())
            }
            Unanswered::Closed(failure) | Unanswered::TimedOut(failure) => Err(failure),
        }
    }

    fn repeat(&self) -> Repeat {
        self.sequence.repeat_after(self.answers.len())
    }

    pub(in crate::store::redis) fn is_done(&self) -> bool {
        self.answers.len() == self.sequence.len()
    }

    /// How many commands were answered.
    pub(in crate::store::redis) fn answered(&self) -> usize {
        self.answers.len()
    }

    pub(in crate::store::redis) fn into_answers(self) -> Vec<Value> {
        self.answers
    }

    /// The answers, and who did the first command. `None`: nobody needs to know.
    pub(in crate::store::redis) fn into_parts(self) -> (Vec<Value>, Option<DoneBy>) {
        (self.answers, self.done_by)
    }
}
