//! The running system, from outside: one file for each group of routes, and one for each promise that
//! crosses them.

mod fixtures;
mod harness;

mod account_faults;
mod accounts;
mod audit;
mod batch;
mod batch_faults;
mod budget;
mod caching;
mod cli;
mod conventions;
mod cookies;
mod deletion;
mod events;
mod explore;
mod faults;
mod growth;
mod histories;
mod hold;
mod http_events;
mod idempotency;
mod images;
mod job_faults;
mod jobs;
mod kills;
mod link_visits;
mod links;
mod logs;
mod me;
mod media;
mod page;
mod plan_admin;
mod plan_changes;
mod plans;
mod rejected;
mod resets;
mod signing_keys;
mod sweeps;
mod thumbnails;
mod titles;
mod tokens;
mod upload;
mod visibility;
mod worker_events;
