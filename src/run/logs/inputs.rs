//! Which of the files on the command line are logs, and which are captures.

use std::path::{Path, PathBuf};

use super::super::Failure;
use crate::cli::LogsArgs;
use crate::source::bytes::{ByteFile, Content, content};
use crate::source::files;

/// The files of a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Inputs {
    pub(super) logs: Vec<PathBuf>,
    pub(super) captures: Vec<PathBuf>,
    /// Files that are neither, and why.
    pub(super) troubles: Vec<String>,
}

impl Inputs {
    /// Tells logs from captures, by their first bytes where the command line does not say it.
    pub(super) fn of(args: &LogsArgs) -> Result<Self, Failure> {
        let input = &args.view.input;
        let mut inputs = Self { logs: args.log.clone(), captures: input.read.clone(), troubles: Vec::new() };
        let is_pipe =
            |path: &Path| path == Path::new("-") || (path.exists() && !path.is_file() && !path.is_dir());
        let (pipes, named): (Vec<&PathBuf>, Vec<&PathBuf>) =
            input.files.iter().partition(|path| is_pipe(path));
        for path in named {
            match content(path) {
                Ok(Content::Capture) => inputs.captures.push(path.clone()),
                Ok(Content::Foreign(what)) => {
                    inputs.troubles.push(format!("{}: {what}", ByteFile::name(path)));
                }
                // Whoever reads it says why it can't be read.
                Ok(Content::Other) | Err(_) if files::is_named_capture(path) => {
                    inputs.captures.push(path.clone());
                }
                Ok(Content::Other) | Err(_) => inputs.logs.push(path.clone()),
            }
        }
        // The first bytes of a pipe come only once: it is what the others are not.
        let has_capture = !inputs.captures.is_empty() || !input.interfaces.is_empty();
        for path in pipes {
            if has_capture { inputs.logs.push(path.clone()) } else { inputs.captures.push(path.clone()) }
        }
        inputs.check(args)
    }

    fn check(self, args: &LogsArgs) -> Result<Self, Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        let has_live = !args.view.input.interfaces.is_empty();
        let is_standard = |path: &&PathBuf| path.as_os_str() == "-";
        if self.logs.iter().chain(&self.captures).filter(is_standard).count() > 1 {
            return usage("standard input (-) is named twice: it can be read only once");
        }
        match (self.logs.is_empty(), self.captures.is_empty() && !has_live) {
            (true, true) if self.troubles.is_empty() => usage(
                "nothing to read: name a log and a capture (rpcscope logs APP.log CAPTURE.pcap); see --help",
            ),
            (true, _) if self.troubles.is_empty() => usage(
                "no log among the files: all of them are captures; name a log (--log FILE takes a file as one, whatever it begins with)",
            ),
            (_, true) if self.troubles.is_empty() => usage(
                "no capture among the files: all of them are logs; name a capture, or an interface with -i (-r FILE takes a file as a capture)",
            ),
            (true, _) | (_, true) => Err(Failure::Environment(self.troubles.join("\n"))),
            (false, false) => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Input, View};

    const PCAP: [u8; 24] =
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn logs_are_told_from_captures_by_what_they_begin_with() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let files: [(&str, Vec<u8>); 9] = [
            ("a", PCAP.to_vec()),
            ("b.gz", gzip(&PCAP)),
            ("c.zst", zstd::encode_all(&PCAP[..], 1).unwrap()),
            ("app.log", b"2026-11-25 x".to_vec()),
            ("app.log.gz", gzip(b"2026-11-25 x")),
            ("empty", Vec::new()),
            ("empty.pcap", Vec::new()),
            ("x.xz", b"\xfd7zXZ\0\0\0".to_vec()),
            ("wide", b"\xff\xfex\0".to_vec()),
        ];
        for (name, bytes) in &files {
            std::fs::write(at(name), bytes).unwrap();
        }
        let inputs = |names: &[&str], log: &[&str], read: &[&str]| {
            let paths = |names: &[&str]| {
                names
                    .iter()
                    .map(|name| if *name == "-" { "-".into() } else { at(name) })
                    .collect::<Vec<PathBuf>>()
            };
            let input = Input { files: paths(names), read: paths(read), ..Input::default() };
            let args =
                LogsArgs { view: View { input, ..View::default() }, log: paths(log), ..LogsArgs::default() };
            let names = |paths: &[PathBuf]| {
                let name =
                    |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                paths.iter().map(name).collect::<Vec<_>>().join(" ")
            };
            Inputs::of(&args)
                .map(|inputs| (names(&inputs.logs), names(&inputs.captures), inputs.troubles.len()))
        };
        let all: Vec<&str> = files.iter().map(|(name, _)| *name).chain(["missing", "missing.pcap"]).collect();
        assert_eq!(
            inputs(&all, &[], &[]).unwrap(),
            (
                "app.log app.log.gz empty wide missing".into(),
                "a b.gz c.zst empty.pcap missing.pcap".into(),
                1
            )
        );
        assert_eq!(inputs(&["-", "a"], &[], &[]).unwrap(), ("-".into(), "a".into(), 0));
        assert_eq!(inputs(&["-", "app.log"], &[], &[]).unwrap(), ("app.log".into(), "-".into(), 0));
        assert_eq!(inputs(&[], &["a"], &["app.log"]).unwrap(), ("a".into(), "app.log".into(), 0));
        for (files, words) in [
            (&["a"][..], "no log among"),
            (&["app.log"], "no capture among"),
            (&[], "nothing to read"),
            (&["-"], "no log among"),
            (&["-", "-", "a"], "named twice"),
            (&["a", "x.xz"], "compressed with xz; unpack it first"),
        ] {
            let error = inputs(files, &[], &[]).unwrap_err().to_string();
            assert!(error.contains(words), "{files:?}: {error}");
        }
    }
}
