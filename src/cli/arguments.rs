//! What people type, and what argh takes.

/// Stands before an argument that begins with a dash and is no option; no
/// argument can contain it.
pub(super) const SHIELD: char = '\0';

/// Rewrites what people type and argh does not take: `--name=value`, and a
/// dash or a negative number where no option is meant. After `--` nothing is
/// an option, and argh takes everything.
pub(super) fn for_argh(args: Vec<String>) -> Vec<String> {
    let mut rewritten = Vec::new();
    let mut args = args.into_iter();
    for arg in args.by_ref() {
        let is_end_of_options = arg == "--";
        match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                rewritten.extend([name.to_owned(), value.to_owned()]);
            }
            _ if is_dash_or_negative(&arg) || is_a_key(&arg, &rewritten) => {
                rewritten.push(format!("{SHIELD}{arg}"))
            }
            _ => rewritten.push(arg),
        }
        if is_end_of_options {
            break;
        }
    }
    rewritten.extend(args);
    rewritten
}

/// argh takes the word `help` for `--help` wherever it stands; behind a
/// command it is as good a key as any.
fn is_a_key(arg: &str, before: &[String]) -> bool {
    arg == "help" && !before.is_empty()
}

fn is_dash_or_negative(arg: &str) -> bool {
    arg.strip_prefix('-')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Takes a positional argument as it was typed.
pub(super) fn positional(arg: &str) -> Result<String, String> {
    Ok(arg.strip_prefix(SHIELD).unwrap_or(arg).to_owned())
}
