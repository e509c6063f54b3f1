//! How a comparison shares out the cores.

use std::thread;

use serde::Serialize;

use crate::bench::pin::allowed;

/// The most threads of the generator, unless it is told otherwise.
const THREADS_MAX: usize = 8;

/// Which CPUs the servers and the generator keep to. By default they share all.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Pinning {
    servers: Vec<usize>,
    generator: Vec<usize>,
}

impl Pinning {
    /// The first half of the CPUs that this process may use for the servers, the others for the
    /// generator; all for all where there is one.
    pub fn halved() -> Self {
        let cpus = allowed();
        if cpus.len() < 2 {
            return Self::default();
        }
        let (servers, generator) = cpus.split_at(cpus.len() / 2);
        Self {
            servers: servers.to_vec(),
            generator: generator.to_vec(),
        }
    }

    /// These for the servers, those for the generator. Fails with a sentence when this process
    /// may not use one of them.
    pub fn new(servers: Vec<usize>, generator: Vec<usize>) -> Result<Self, String> {
        let allowed = allowed();
        let mut named = servers.iter().chain(&generator);
        if let Some(cpu) = named.find(|cpu| !allowed.contains(cpu)) {
            return Err(format!(
                "there is no CPU {cpu} for this process; it may use {allowed:?}"
            ));
        }
        let each_once = |mut cpus: Vec<usize>| {
            cpus.sort_unstable();
            cpus.dedup();
            cpus
        };
        Ok(Self {
            servers: each_once(servers),
            generator: each_once(generator),
        })
    }

    /// The CPUs of the servers; any, if there are none.
    pub fn servers(&self) -> &[usize] {
        &self.servers
    }

    /// The CPUs of the generator; any, if there are none.
    pub fn generator(&self) -> &[usize] {
        &self.generator
    }

    /// Threads of the generator: as many as it has cores, since one alone would bound what a
    /// server does that uses as many.
    pub fn threads(&self) -> usize {
        let cores = match self.generator.len() {
            0 => thread::available_parallelism().map_or(1, usize::from),
            cores => cores,
        };
        cores.min(THREADS_MAX)
    }
}
