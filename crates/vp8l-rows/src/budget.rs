//! The memory and time that an image may still use.

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

    /// Counts bytes before they are allocated for `what`.
    pub(crate) fn reserve(&mut self, bytes: usize, what: &'static str) -> Result<()> {
        self.limit(bytes, what)?;
        self.left -= bytes;
        Ok(())
    }

    /// Returns an error if fewer than `bytes` are left.
    pub(crate) fn limit(&self, bytes: usize, what: &'static str) -> Result<()> {
        if bytes > self.left { Err(Error::Limit(what)) } else { Ok(()) }
    }

    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Releases everything reserved since `left` bytes were left.
    pub(crate) fn restore(&mut self, left: usize) {
        self.left = left;
    }

    pub(crate) fn check_time(&self) -> Result<()> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Deadline),
            _ => Ok(()),
        }
    }
}
