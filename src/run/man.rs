//! Manual pages, made from the table of the command line.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Failure, Status, output};
use crate::cli::{Cli, ManArgs};

/// What every page ends with: what clap does not know.
const COMMON: &str = r#".SH ENVIRONMENT
.TP
\fBNO_COLOR\fR
If it is set and not empty, nothing is coloured (https://no-color.org).
.TP
\fBPAGER\fR
Shows what is printed on a terminal, except in live runs; less -FRX if it is not set, and none if it is empty or cat.
.TP
\fBRPCSCOPE_CONFIG\fR
The config file, in place of $XDG_CONFIG_HOME/rpcscope/config.toml; none if it is empty.
.TP
\fBTZ\fR
The time zone of \fB-t local\fR.
.TP
\fBSSLKEYLOGFILE\fR
The key log that \fB--tls-keylog env\fR reads; it is not looked at otherwise.
.TP
\fBOTEL_EXPORTER_OTLP_*\fR
Where \fB--otlp env\fR sends to; they are not looked at otherwise.
.SH "SEE ALSO"
.BR rpcscope (1),
.BR tcpdump (8),
.BR pcap-filter (7)
"#;

/// Prints a page, or writes all of them.
pub(super) fn run(args: &ManArgs) -> Result<Status, Failure> {
    let mut program = Cli::command();
    program.build();
    if let Some(folder) = &args.dir {
        return write_all(&program, folder).map(|()| Status::default());
    }
    let page = match &args.command {
        None => page(&program, "rpcscope"),
        Some(name) => {
            let Some(command) = commands(&program).find(|command| command.get_name() == name) else {
                let names: Vec<_> = commands(&program).map(Command::get_name).collect();
                return Err(Failure::Usage(format!(
                    "man: there is no command {name}; there are {}",
                    names.join(", ")
                )));
            };
            page(command, &format!("rpcscope-{name}"))
        }
    };
    output::print(&page.map_err(|error| output::unwritable("standard output", &error))?)
        .map(|_| Status::default())
}

/// The commands that have a page.
fn commands(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn write_all(program: &Command, folder: &Path) -> Result<(), Failure> {
    let unwritable = |path: &Path, error: &io::Error| output::unwritable(&path.display().to_string(), error);
    std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    let pages = commands(program).map(|command| (command, format!("rpcscope-{}", command.get_name())));
    for (command, name) in std::iter::once((program, "rpcscope".to_owned())).chain(pages) {
        let path = folder.join(format!("{name}.1"));
        let written = page(command, &name).and_then(|page| std::fs::write(&path, page));
        written.map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

/// One page, in roff.
fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let versioned = command.clone().version(env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(versioned).title(name.to_uppercase()).section("1").render(&mut page)?;
    page.extend_from_slice(COMMON.as_bytes());
    Ok(page)
}
