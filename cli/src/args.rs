//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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

An image is named by its id or its title.

Exit status:
  0    all was done
  1    it failed
  2    the command or its arguments make no sense
  3    not logged in, or the session is over
  4    some files or images failed, the others are done
  5    the service cannot be reached, or stays too busy
  6    uploaded, but not known to be ready in time (upload)
  130  interrupted; the same `upload` goes on where it was

Files, in $XDG_CONFIG_HOME/tintype or ~/.config/tintype (TINTYPE_CONFIG_DIR puts them elsewhere):
  config.toml  url = \"https://…\", concurrency = 8, keyring = true
  sessions/    tokens, where the system has no keyring
  journals/    what was uploaded, by content"
)]
pub(crate) struct Cli {
    /// Where the service is; the first login puts it into the configuration file
    #[arg(long, global = true, env = "TINTYPE_URL", value_name = "URL", help_heading = "Everywhere")]
    pub(crate) url: Option<String>,

    /// Give JSON for programs: one object, or one on each line of a list
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,

    /// No progress, only what failed
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
    Login(Login),

    /// End this session: its tokens are refused everywhere from then on
    Logout {
        /// End all sessions of the account, on every device
        #[arg(long)]
        everywhere: bool,
    },

    /// Show the account that is logged in
    Whoami,

    /// Upload files and folders, going on where an earlier run was cut off
    #[command(after_help = "\
A file's title is its path below the folder named here, in Unicode NFC; of a file named here, its name. A file whose content \
was uploaded before, under whatever title, is not uploaded again. Files and folders whose names begin with a dot are left out.

Examples:
  tintype upload ~/Pictures
  tintype upload ~/Pictures/2024 --private --dry-run
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

    /// Download originals, going on where an earlier download was cut off
    #[command(after_help = "Examples:
  tintype get \"2024/harbour.jpg\"
  tintype get \"2024/harbour.jpg\" \"2024/pier.jpg\" --output ~/Desktop
  tintype get fURIQJ3AQdGyRV_9znT60gGYwN56W3w9jp8BI0Vniaw --output - | display")]
    Get(Get),

    /// Delete images for good
    #[command(after_help = "Examples:
  tintype rm \"2024/harbour.jpg\" \"2024/pier.jpg\"
  tintype list --all --status rejected --json | jq -r .id | xargs tintype rm
  tintype rm --all")]
    Rm(Rm),

    /// Make, list and revoke links that give anyone an original for a while
    Link {
        #[command(subcommand)]
        command: Link,
    },

    /// List what everybody made public, newest first
    Explore(Pages),

    /// Everything about the account itself
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
pub(crate) struct Login {
    /// The account's e-mail address; asked for where it is missing
    #[arg(long)]
    pub(crate) email: Option<String>,

    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Debug, Args)]
pub(crate) struct Password {
    /// Read the password from standard input, up to the end of its first line
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Nobody but you may see them
    #[arg(long)]
    pub(crate) private: bool,

    /// Say what would be uploaded, and do nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,

    /// Go on, and upload what comes into the folders, until Ctrl-C
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,

    /// Files that are uploaded at the same time [default: 8]
    #[arg(long, short = 'j', value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) concurrency: Option<u16>,

    /// Upload a file even where its content is there already under another title
    #[arg(long)]
    pub(crate) copies: bool,

    /// Read every file anew, and ask the service which images are still there
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) recheck: bool,

    /// Do not wait until the images are ready
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// How long to wait for images while none gets ready
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// How many
    #[arg(long, short = 'n', default_value_t = 50)]
    pub(crate) limit: usize,

    /// All there are
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) pages: Pages,

    #[arg(long, value_enum)]
    pub(crate) status: Option<Status>,

    #[arg(long, value_enum)]
    pub(crate) visibility: Option<Visibility>,

    /// Only titles that begin so
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefix: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Status {
    Pending,
    Processing,
    Ready,
    Rejected,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Visibility {
    Public,
    Private,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Ids or titles
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// The file or folder to write; `-` for standard output
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Replace files that are there
    #[arg(long, short)]
    pub(crate) force: bool,
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
pub(crate) enum Link {
    /// Make a link to an image's original
    #[command(after_help = "Examples:
  tintype link create \"2024/harbour.jpg\" --expires 2h
  tintype link create \"2024/harbour.jpg\" --expires 30m --max-downloads 3 --password")]
    Create {
        /// Its id or title
        image: String,
        /// How long it works: 5m to 8h 20m
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        expires: Duration,
        /// How often the image may be downloaded
        #[arg(long, value_name = "N")]
        max_downloads: Option<u64>,
        /// A word for yourself about what it is for
        #[arg(long, value_name = "TEXT")]
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
        #[arg(long)]
        image: Option<String>,
        #[command(flatten)]
        pages: Pages,
    },
    /// End links
    Revoke {
        /// Their ids
        #[arg(required = true, value_name = "LINK")]
        links: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Delete the account with every image and link of it, for good
    Delete {
        #[command(flatten)]
        password: Password,
        /// Do not ask for the e-mail address once more
        #[arg(long, short)]
        yes: bool,
        /// Do not wait until everything is gone
        #[arg(long)]
        no_wait: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}, such as 90s, 30m or 2h"))
}
