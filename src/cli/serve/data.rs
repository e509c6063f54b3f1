//! What the options say about a journal.

use std::time::Duration;

use speicher::journal::{self, Sync};
use speicher::server::{DataConfig, StoreConfig};

use super::super::environment::blame;
use super::super::units::parse_timeout;
use super::Serve;

pub(super) fn parse_sync(text: &str) -> Result<Sync, String> {
    /// Who wants to lose more has no need of a journal.
    const TIME_MAX: Duration = Duration::from_secs(3600);

    if text == "always" {
        return Ok(Sync::Always);
    }
    match parse_timeout(text) {
        Ok(time) if time <= TIME_MAX => Ok(Sync::Every(time)),
        Ok(_) => Err(format!("{text} is too long; 1h is the most")),
        Err(_) => Err(format!(
            "{text:?} is neither always nor a time such as 100ms or 1s"
        )),
    }
}

impl Serve {
    /// Fails if the options make no sense together.
    pub(super) fn data_config(&self, store: &StoreConfig) -> Result<Option<DataConfig>, String> {
        let Some(dir) = &self.data else {
            return match self.sync {
                Some(_) => Err(blame(
                    "--sync",
                    "--sync is about a journal; say where it is with --data".to_owned(),
                )),
                None => Ok(None),
            };
        };
        if !matches!(store, StoreConfig::Memory) {
            let sentence = "--data keeps entries of this process's memory, and --store has them elsewhere; \
                 leave out one of them";
            return Err(blame("--data", sentence.to_owned()));
        }
        Ok(Some(DataConfig {
            dir: dir.clone(),
            sync: self.sync.unwrap_or_default(),
        }))
    }

    /// Fails if the directory can't be used for a reason that is soon found.
    pub(super) fn check_data(&self) -> Result<(), String> {
        match &self.data {
            Some(dir) => journal::check(dir).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}
