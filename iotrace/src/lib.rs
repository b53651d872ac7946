//! iotrace: who does which I/O to which file, in which container, on which disk, and what it waits for.
//!
//! Data flows one way: kernel programs -> ring buffer and maps -> [`event`] -> [`resolve`] -> [`view`] -> [`output`].

#[cfg(test)]
mod allocations;
pub mod cli;
pub mod event;
pub mod findings;
pub mod kernel;
pub mod output;
pub mod parse;
pub mod resolve;
pub mod view;
