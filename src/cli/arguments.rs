//! What people type, and what argh takes.

/// Stands before an argument that begins with a dash and is no option; no
/// argument can contain it.
pub(super) const SHIELD: char = '\0';

/// What asks for help, wherever an option may stand.
const HELP: [&str; 3] = ["-h", "--help", "help"];

/// Rewrites what people type and argh does not take: `--name=value`, a
/// dash or a negative number where no option is meant, and `help` before a
/// command. After `--` nothing is an option, and argh takes everything.
pub(super) fn for_argh(args: Vec<String>, commands: &[&str]) -> Vec<String> {
    if let [help, command, ..] = args.as_slice()
        && HELP.contains(&help.as_str())
        && commands.contains(&command.as_str())
    {
        return vec![command.clone(), "--help".to_owned()];
    }
    let mut rewritten: Vec<String> = Vec::new();
    let mut args = args.into_iter();
    for arg in args.by_ref() {
        let is_end_of_options = arg == "--";
        let follows_option = rewritten.last().is_some_and(|last| last.starts_with("--"));
        match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                rewritten.extend([name.to_owned(), value.to_owned()]);
            }
            // The value of an option is taken as it is.
            _ if is_dash_or_negative(&arg) && !follows_option => {
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

fn is_dash_or_negative(arg: &str) -> bool {
    arg.strip_prefix('-')
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Takes a positional argument as it was typed.
pub(super) fn positional(arg: &str) -> Result<String, String> {
    Ok(arg.strip_prefix(SHIELD).unwrap_or(arg).to_owned())
}
