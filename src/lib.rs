#![doc = include_str!("../ARCHITECTURE.md")]

pub mod protocol;
pub mod store;

pub mod server;

pub mod client;
