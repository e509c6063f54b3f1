//! How a server that is started is told how much it may hold.

use std::str::FromStr;

use crate::memory::Size;

/// The ceiling of a server in the cases that need one, in bytes. It is small, so that
/// it is soon reached, and leaves room for a runtime.
pub(crate) const CEILING: usize = 64 << 20;

/// What stands in the option in place of the ceiling.
const BYTES: &str = "{bytes}";

/// Where the option belongs in a command line, if not at its end.
const PLACE: &str = "{memory}";

/// What is added to the command that starts a server, so that it has a ceiling on its
/// memory: an option, as in `--memory-max {bytes}`, or a variable.
#[derive(Clone, Debug)]
pub struct MemoryOption(String);

impl FromStr for MemoryOption {
    type Err = String;

    /// Fails with a sentence unless the option has a place for the ceiling.
    fn from_str(option: &str) -> Result<Self, String> {
        match option.contains(BYTES) {
            true => Ok(Self(option.to_owned())),
            false => Err(format!(
                "{option:?} does not contain {BYTES}; write it where the number of bytes belongs"
            )),
        }
    }
}

impl MemoryOption {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// The command that starts a server, with its ceiling if the option says how.
pub(crate) fn with_memory(command: &str, option: Option<&MemoryOption>) -> String {
    let Some(MemoryOption(option)) = option else {
        return command.replace(PLACE, "");
    };
    let option = option.replace(BYTES, &CEILING.to_string());
    match command.contains(PLACE) {
        true => command.replace(PLACE, &option),
        false => format!("{command} {option}"),
    }
}

/// The ceiling as people read it.
pub(crate) fn shown_ceiling() -> String {
    Size(CEILING).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_stands_in_its_place_or_at_the_end() {
        let option = MemoryOption::from_str("--max {bytes}").expect("it has a place");
        let with = |command| with_memory(command, Some(&option));
        assert_eq!(with("serve {port}"), "serve {port} --max 67108864");
        assert_eq!(
            with("serve {memory} | tee x"),
            "serve --max 67108864 | tee x"
        );
        assert_eq!(with_memory("serve {memory}| tee x", None), "serve | tee x");
        assert_eq!(with_memory("serve {port}", None), "serve {port}");
    }

    #[test]
    fn an_option_without_a_place_for_the_bytes_is_refused() {
        let error = MemoryOption::from_str("--max 64M").expect_err("it has none");
        assert!(error.contains(BYTES), "{error}");
    }
}
