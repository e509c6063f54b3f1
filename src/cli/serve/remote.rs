//! What the options say about where the entries are.

use speicher::server::StoreConfig;
#[cfg(feature = "cluster")]
use speicher::server::{Model, RemoteStoreConfig};

#[cfg(feature = "cluster")]
use super::super::environment::blame;
#[cfg(feature = "cluster")]
use super::super::store::{self, StoreOption};
use super::Serve;

#[cfg(feature = "cluster")]
impl Serve {
    pub(super) fn has_remote_store(&self) -> bool {
        matches!(self.store, StoreOption::Remote { .. })
    }

    /// Fails if an option makes no sense with the store.
    pub(super) fn store_config(&self) -> Result<StoreConfig, String> {
        let StoreOption::Remote { text, address } = &self.store else {
            return match self.first_remote_option() {
                Some(option) => {
                    let sentence = format!(
                        "{option} is about a store that is not memory; say where it is with --store"
                    );
                    Err(blame(option, sentence))
                }
                None => Ok(StoreConfig::Memory),
            };
        };
        if self.model() != Model::Tokio {
            return Err(blame("--model", Model::no_remote_store(self.model())));
        }
        if self.frame_max > store::VALUE_LEN_MAX {
            let sentence = format!(
                "--frame-max is over {} bytes, which is the most that Redis and Valkey take",
                store::VALUE_LEN_MAX
            );
            return Err(blame("--frame-max", sentence));
        }
        let default = RemoteStoreConfig::new(store::with_password(text, address.clone())?);
        let prefix = self.store_prefix.clone();
        Ok(StoreConfig::Remote(RemoteStoreConfig {
            prefix: prefix.unwrap_or_else(|| default.prefix.clone()),
            timeout: self.store_timeout.unwrap_or(default.timeout),
            replicas: self.store_replicas.unwrap_or(default.replicas),
            reset: self.store_reset.unwrap_or(default.reset),
            ..default
        }))
    }

    fn first_remote_option(&self) -> Option<&'static str> {
        let given = [
            (self.store_prefix.is_some(), "--store-prefix"),
            (self.store_timeout.is_some(), "--store-timeout"),
            (self.store_replicas.is_some(), "--store-replicas"),
            (self.store_reset.is_some(), "--store-reset"),
        ];
        let first = given.into_iter().find(|(is_given, _)| *is_given);
        first.map(|(_, option)| option)
    }
}

#[cfg(not(feature = "cluster"))]
impl Serve {
    pub(super) fn has_remote_store(&self) -> bool {
        false
    }

    pub(super) fn store_config(&self) -> Result<StoreConfig, String> {
        Ok(StoreConfig::Memory)
    }
}
