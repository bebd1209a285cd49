//! The running system, from outside: one file for each group of routes, and one for each promise that
//! crosses them.

mod fixtures;
mod harness;

mod accounts;
mod audit;
mod batch;
mod budget;
mod cli;
mod conventions;
mod deletion;
mod events;
mod explore;
mod faults;
mod histories;
mod hold;
mod idempotency;
mod images;
mod jobs;
mod kills;
mod link_visits;
mod links;
mod me;
mod media;
mod plan_admin;
mod plans;
mod rejected;
mod thumbnails;
mod titles;
mod tokens;
mod upload;
mod visibility;
