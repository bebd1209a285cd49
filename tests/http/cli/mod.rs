//! `tintype`, the command-line client, as its users run it: its executable against the running stack.

mod account;
mod export;
mod faults;
mod gate;
mod hold;
mod images;
mod many;
mod tool;
mod upload;
mod watch;
