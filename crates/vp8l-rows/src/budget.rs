//! What a picture may cost, counted down.

use std::time::Instant;

use crate::Limits;
use crate::error::{Error, Result};

pub(crate) struct Budget {
    left: usize,
    deadline: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { left: limits.max_memory, deadline: limits.deadline }
    }

    /// To be called before so many bytes are allocated for `what`.
    pub(crate) fn hold(&mut self, bytes: usize, what: &'static str) -> Result<()> {
        self.most(bytes, what)?;
        self.left -= bytes;
        Ok(())
    }

    /// An error if there are not as many bytes left.
    pub(crate) fn most(&self, bytes: usize, what: &'static str) -> Result<()> {
        if bytes > self.left { Err(Error::Limit(what)) } else { Ok(()) }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Gives back all that was held since there were so many bytes left.
    pub(crate) fn release_to(&mut self, left: usize) {
        self.left = left;
    }

    pub(crate) fn check_time(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Deadline),
            _ => Ok(()),
        }
    }
}
