//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tintype_model::{Description, Lifetime, Title};

#[derive(Debug, Parser)]
#[command(
    name = "tintype",
    version,
    about = "Uploads and keeps images in a Tintype repository",
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "Examples:
  tintype --url https://images.example.org login
  tintype upload ~/Pictures --private
  tintype list --all --json | jq -r .title
  tintype get \"2024/harbour.jpg\" --output ~/Desktop
  tintype link create \"2024/harbour.jpg\" --expires 2h

An image is named by its id or its title. A title that looks like an option goes after `--`.

Exit status:
  0    done
  1    failed
  2    invalid command or arguments
  3    not logged in, or the session has ended
  4    some files or images failed, the others are done
  5    the service cannot be reached, or is overloaded
  6    uploaded, but not ready before the wait ended (upload)
  7    another upload of this account, or export to this folder, is running
  130  interrupted; run the same `upload` or `export` again to resume

Files, in $XDG_CONFIG_HOME/tintype or ~/.config/tintype (TINTYPE_CONFIG_DIR puts them elsewhere):
  config.toml  url = \"https://…\", concurrency = 8, keyring = true
  sessions/    tokens, where the system has no keyring
  journals/    what was uploaded, by content"
)]
pub(crate) struct Cli {
    /// URL of the service; the first login stores it in the configuration file
    #[arg(long, global = true, env = "TINTYPE_URL", value_name = "URL", help_heading = "Everywhere")]
    pub(crate) url: Option<String>,

    /// Print JSON: one object, or one per line for lists
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,

    /// Print only failures, no progress
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in; the password is asked for
    #[command(after_help = "Examples:
  tintype --url https://images.example.org login
  pass show tintype | tintype login --email ada@example.org --password-stdin")]
    Login(LoginArgs),

    /// End this session: its tokens are refused everywhere from then on
    Logout {
        /// End all sessions of the account, on every device
        #[arg(long)]
        everywhere: bool,
    },

    /// Show the account that is logged in
    Whoami,

    /// Upload files and folders; resumes an interrupted run
    #[command(after_help = "\
The title of a file in a folder is its path below the folder named here, in Unicode NFC; of a file named here, its name. \
A file whose content was uploaded before, under whatever title, is not uploaded again.

In folders, files that are not images are skipped, and so is what begins with a dot and what systems make for themselves, such \
as @eaDir. A file named here that is not an image fails.

A pattern without a slash is for names at any depth, one with a slash for paths below the folder. `*` and `?` stand for letters \
but the slash, `**` for folders, `{jpg,png}` for either. A folder that matches stands for all in it. Case matters.

Examples:
  tintype upload ~/Pictures
  tintype upload ~/Pictures/2024 --private --dry-run
  tintype upload ~/Pictures --exclude raw --exclude '*.{gif,GIF}'
  tintype upload ~/Scans --prefix scans/ --include '*.png'
  tintype upload scan-*.jpg --concurrency 16
  tintype upload ~/Incoming --watch
  tintype upload ~/Pictures --json | jq -r 'select(.event == \"failed\") | .path'")]
    Upload(Upload),

    /// List your images, newest first
    #[command(after_help = "Examples:
  tintype list --limit 10
  tintype list --all --status rejected
  tintype list --prefix 2024/ --json | jq -r .id")]
    List(List),

    /// Show all about one image
    Show {
        /// Its id or title
        image: String,
    },

    /// Download originals; resumes an interrupted download
    #[command(after_help = "\
An image whose title is a path is written to the same path below the --output folder, or else below the current one. \
A title without the extension of an image gets one.

Examples:
  tintype get \"2024/harbour.jpg\"
  tintype get \"2024/harbour.jpg\" \"2025/harbour.jpg\" --output ~/Desktop
  tintype get \"2024/harbour.jpg\" --flat
  tintype get fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng --output - | display")]
    Get(Get),

    /// Download all your originals and records; resumes an interrupted export
    #[command(after_help = "\
Each original is written to the path that its title is, below the folder, and checked. Titles that would have the same path, \
on systems that tell no upper case too, get a part of the image's id. `records.jsonl` has a JSON object for the account, each \
image, with its file, and each link. Your plan need not include originals.

The same command again downloads only what is missing. Files of images that were deleted since stay.

Examples:
  tintype export ~/Tintype
  tintype export ~/Tintype --concurrency 16
  jq -r 'select(.image.status == \"rejected\") | .image.title' ~/Tintype/records.jsonl")]
    Export(Export),

    /// Permanently delete images
    #[command(after_help = "Examples:
  tintype rm \"2024/harbour.jpg\" \"2024/pier.jpg\"
  tintype list --all --status rejected --json | jq -r .id | xargs tintype rm
  tintype rm --all")]
    Rm(Rm),

    /// Create, list and revoke links that let anyone download an original for a limited time
    Link {
        #[command(subcommand)]
        command: LinkCommand,
    },

    /// List all public images, newest first
    Explore(Pages),

    /// Manage the account
    Account {
        #[command(subcommand)]
        command: Account,
    },

    /// List the plans, and which one is yours
    Plans,

    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  tintype completions bash > ~/.local/share/bash-completion/completions/tintype
  tintype completions zsh > ~/.zfunc/_tintype
  tintype completions fish > ~/.config/fish/completions/tintype.fish")]
    Completions { shell: Shell },

    /// Print the manual page, or write one for each command
    #[command(after_help = "Examples:
  tintype man | man -l -
  tintype man --dir ~/.local/share/man/man1")]
    Man {
        /// Write all pages into this folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// The account's e-mail address; asked for where it is missing
    #[arg(long)]
    pub(crate) email: Option<String>,

    #[command(flatten)]
    pub(crate) password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input, up to the end of its first line
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Nobody but you may see them; images that are there already stay as visible as they are
    #[arg(long)]
    pub(crate) private: bool,

    /// Upload only files that match; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) include: Vec<String>,

    /// Leave out files and folders that match; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) exclude: Vec<String>,

    /// Prefix for each title
    #[arg(long, value_name = "TEXT", value_parser = title_part, allow_hyphen_values = true)]
    pub(crate) prefix: Option<String>,

    /// Dry run: list what would be uploaded
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Keep running and upload files that are added to the folders, until Ctrl-C
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,

    /// Files that are uploaded at the same time [default: 8, and of small files up to 64 while the bucket answers quickly]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) concurrency: Option<u16>,

    /// Upload a file even if its content exists under another title
    #[arg(long)]
    pub(crate) copies: bool,

    /// Read every file anew, and ask the service which images are still there
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) recheck: bool,

    /// Do not wait until the images are ready
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Stop waiting after this long without any image becoming ready
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// Number of entries
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,

    /// List all of them
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) pages: Pages,

    #[arg(long, value_enum)]
    pub(crate) status: Option<StatusFilter>,

    #[arg(long, value_enum)]
    pub(crate) visibility: Option<VisibilityFilter>,

    /// Only titles that begin with this
    #[arg(long, value_name = "TEXT", value_parser = title_part, allow_hyphen_values = true)]
    pub(crate) prefix: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StatusFilter {
    Pending,
    Processing,
    Ready,
    Rejected,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum VisibilityFilter {
    Public,
    Private,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Ids or titles
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// The folder to write to, or the file for a single image; `-` for standard output. A folder that does not exist is
    /// made for several images, or where the path ends with a slash
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Do not keep the folders of titles
    #[arg(long)]
    pub(crate) flat: bool,

    /// Replace files that are there
    #[arg(long, short)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder to write to; it is made if it does not exist
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,

    /// Files that are downloaded at the same time [default: 8]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) concurrency: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Ids or titles
    #[arg(value_name = "IMAGE", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) images: Vec<String>,

    /// All your images
    #[arg(long)]
    pub(crate) all: bool,

    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Create a link to an image's original
    #[command(after_help = "Examples:
  tintype link create \"2024/harbour.jpg\" --expires 2h
  tintype link create \"2024/harbour.jpg\" --expires 30m --max-downloads 3 --password")]
    Create {
        /// Its id or title
        image: String,
        /// Lifetime: 5m to 8h 20m
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
        expires: Lifetime,
        /// Maximum number of downloads
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
        max_downloads: Option<u64>,
        /// A private note on what the link is for
        #[arg(long, value_name = "TEXT", value_parser = description, allow_hyphen_values = true)]
        description: Option<String>,
        /// Ask for a password that visitors will need
        #[arg(long, conflicts_with = "password_stdin")]
        password: bool,
        /// Read that password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List your links, newest first
    List {
        /// Only those of this image, by id or title
        #[arg(long, allow_hyphen_values = true)]
        image: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// Revoke links
    Revoke {
        /// Their ids
        #[arg(required = true, value_name = "LINK")]
        links: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Permanently delete the account with all images and links
    Delete {
        #[command(flatten)]
        password: PasswordArgs,
        /// Do not ask for the e-mail address once more
        #[arg(long, short)]
        yes: bool,
        /// Do not wait until everything is deleted
        #[arg(long)]
        no_wait: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}, such as 90s, 30m or 2h"))
}

fn lifetime(text: &str) -> Result<Lifetime, String> {
    let bound = |seconds: u32| humantime::format_duration(Duration::from_secs(seconds.into()));
    let whole = Some(duration(text)?).filter(|time| time.subsec_nanos() == 0);
    whole
        .and_then(|time| Lifetime::from_secs(time.as_secs()))
        .ok_or_else(|| format!("must be {} to {}, in whole seconds", bound(Lifetime::MIN), bound(Lifetime::MAX)))
}

/// The beginning of a title.
fn title_part(text: &str) -> Result<String, String> {
    Title::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn description(text: &str) -> Result<String, String> {
    Description::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn pattern(text: &str) -> Result<String, String> {
    if text.trim_matches('/').is_empty() {
        return Err("must not be empty".to_owned());
    }
    globset::Glob::new(text).map(|_| text.to_owned()).map_err(|error| error.kind().to_string())
}

impl Command {
    /// True if the command does nothing but print.
    pub(crate) fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::Whoami
                | Self::List(_)
                | Self::Show { .. }
                | Self::Explore(_)
                | Self::Plans
                | Self::Link { command: LinkCommand::List { .. } }
        )
    }
}

/// Puts the images that a command names behind `--`, so that titles may begin with a hyphen: what the command has no option
/// for is an image's name.
pub(crate) fn names_last(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let original: Vec<OsString> = arguments.into_iter().collect();
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    let mut rest = original.iter().cloned();
    let (mut options, mut names): (Vec<OsString>, Vec<OsString>) = (rest.next().into_iter().collect(), Vec::new());
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            names.extend(rest);
            break;
        } else if let Some(takes_next) = option(command, &text) {
            options.push(argument);
            if takes_next {
                options.extend(rest.next());
            }
        } else if let Some(subcommand) = command.find_subcommand(&*text) {
            command = subcommand;
            options.push(argument);
        } else {
            names.push(argument);
        }
    }
    let takes_images =
        command.get_positionals().any(|argument| ["image", "images"].contains(&argument.get_id().as_str()));
    if !takes_images || !names.iter().any(|name| name.as_encoded_bytes().starts_with(b"-")) {
        return original;
    }
    options.push("--".into());
    options.extend(names);
    options
}

/// `None`: the text is not an option of this command. True: the next argument is its value.
fn option(command: &clap::Command, text: &str) -> Option<bool> {
    let takes_value = |argument: &clap::Arg| matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if let Some(long) = text.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let argument = command.get_arguments().find(|argument| argument.get_long() == Some(name))?;
        return Some(takes_value(argument) && value.is_none());
    }
    let mut letters = text.strip_prefix('-').filter(|letters| !letters.is_empty())?.chars();
    while let Some(letter) = letters.next() {
        let argument = command.get_arguments().find(|argument| argument.get_short() == Some(letter))?;
        if takes_value(argument) {
            return Some(letters.next().is_none());
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        Cli::parse_from(names_last(line.split(' ').map(OsString::from))).command
    }

    #[test]
    fn titles_may_begin_with_a_hyphen_before_and_after_options() {
        let Command::Rm(rm) = parsed("tintype rm -1.jpg a --yes -2.jpg --json") else { panic!() };
        assert_eq!((rm.images, rm.yes), (vec!["-1.jpg".to_owned(), "a".into(), "-2.jpg".into()], true));
        let Command::Get(get) = parsed("tintype --quiet get -o - -harbour.jpg -f") else { panic!() };
        assert_eq!((get.images, get.output, get.force), (vec!["-harbour.jpg".to_owned()], Some("-".into()), true));
        let Command::Get(get) = parsed("tintype get --output=-x -- --flat -f") else { panic!() };
        assert_eq!((get.images, get.force), (vec!["--flat".to_owned(), "-f".into()], false));
        let Command::Show { image } = parsed("tintype show --json -fURIQ") else { panic!() };
        assert_eq!(image, "-fURIQ");
        let Command::Link { command: LinkCommand::Create { image, .. } } =
            parsed("tintype link create --expires 5m -x")
        else {
            panic!()
        };
        assert_eq!(image, "-x");
        let Command::Link { command: LinkCommand::List { image, .. } } = parsed("tintype link list --image -x") else {
            panic!()
        };
        assert_eq!(image.as_deref(), Some("-x"));
        let Command::List(list) = parsed("tintype list --prefix -2024") else { panic!() };
        assert_eq!(list.prefix.as_deref(), Some("-2024"));
    }

    #[test]
    fn options_of_commands_that_name_no_images_are_checked() {
        for line in ["tintype upload --dryrun x", "tintype list --al", "tintype rm --yes", "tintype login --e x"] {
            let arguments = names_last(line.split(' ').map(OsString::from));
            assert!(Cli::try_parse_from(arguments).is_err(), "{line}");
        }
    }

    #[test]
    fn what_the_service_would_refuse_is_refused_with_its_range() {
        for (line, said) in [
            ("link create x --expires 4m", "'--expires <TIME>': must be 5m to 8h 20m"),
            ("link create x --expires 9h", "'--expires <TIME>': must be 5m to 8h 20m"),
            ("link create x --expires 300s500ms", "whole seconds"),
            ("link create x --max-downloads 0", "'--max-downloads <N>': 0 is not in 1..=1000000000"),
            ("list --prefix ", "'--prefix <TEXT>': must not be empty"),
            ("upload x --prefix ", "'--prefix <TEXT>': must not be empty"),
            ("list --limit 0", "'--limit <LIMIT>': 0 is not in 1.."),
            ("upload x --concurrency 65", "'--concurrency <N>': 65 is not in 1..=64"),
            ("upload x --include [", "'--include <PATTERN>'"),
        ] {
            let error = Cli::try_parse_from(format!("tintype {line}").split(' ')).unwrap_err().to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
        let long = format!("tintype link create x --description {}", "d".repeat(1025));
        assert!(Cli::try_parse_from(long.split(' ')).unwrap_err().to_string().contains("at most 1024 characters"));
    }
}
