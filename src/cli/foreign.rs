//! Options of tcpdump and tshark that rpcscope does not have, and what does here what they are for.
//!
//! Those that mean the same here are options of rpcscope: `-c -C -d -D -f -G -i -l -n -p -r -s -t -U -w -W -Y -Z`.

/// What stands in for a short option: a sentence that begins with what the option is.
pub(super) fn instead_of(option: char) -> Option<&'static str> {
    OPTIONS.iter().find(|(name, _)| *name == option).map(|(_, instead)| *instead)
}

/// What stands in for a long option of other programs, named without its dashes.
pub(super) fn instead_of_long(option: &str) -> Option<&'static str> {
    match option {
        "json" | "jsonl" | "csv" | "parquet" => instead_of('T'),
        "verbose" => instead_of('v'),
        "quiet" => instead_of('q'),
        "hex" => instead_of('x'),
        "print" => instead_of('P'),
        "autostop" => instead_of('a'),
        "ring-buffer" => instead_of('b'),
        "display-filter" | "capture-filter" | "read-filter" => instead_of('R'),
        _ => None,
    }
}

/// What stands in for a setting of tshark (`-o NAME:VALUE`), whose `-o` is no file.
pub(super) fn instead_of_setting(value: &str) -> Option<String> {
    let (name, value) = value.split_once(':')?;
    let is_name = name.contains('.')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.'));
    if !is_name {
        return None;
    }
    Some(match name {
        "tls.keylog_file" | "ssl.keylog_file" => format!("the key log is --tls-keylog {value}"),
        _ => "settings of tshark mean nothing here; -o names the file to write to (./NAME if it has a colon)"
            .into(),
    })
}

/// Short options of tcpdump(1) and tshark(1).
const OPTIONS: &[(char, &str)] = &[
    ('A', BYTES),
    ('X', BYTES),
    ('x', BYTES),
    ('v', DETAILS),
    ('V', DETAILS),
    ('O', DETAILS),
    ('P', "calls are printed beside -w in any case: rpcscope calls -i any -w FILE"),
    (
        'z',
        "sums are commands: rpcscope stats FILE by service and method, rpcscope chains FILE by cause. No program is run on full -w files",
    ),
    (
        'a',
        "a run stops after -c N packets or --duration 30s, and -C MB, -G SECONDS and -W COUNT divide -w files",
    ),
    ('b', "a ring of files is -w FILE with -C MB or -G SECONDS, and -W COUNT or --max-disk 10GB"),
    ('q', "for less in a line, name its columns: rpcscope calls FILE --fields start,method,class"),
    ('Q', "the direction is part of the capture filter: -f inbound, -f outbound"),
    (
        'e',
        "columns are chosen by --fields: rpcscope calls FILE --fields start,service,code (link-layer addresses are not printed)",
    ),
    ('T', "the format is --format: rpcscope calls FILE --format jsonl (or csv, parquet)"),
    ('j', "the keys to print are --fields, and the filter is -Y"),
    ('J', "the keys to print are --fields, and the filter is -Y"),
    ('E', "tables are rpcscope calls FILE --format csv; IPsec is not decrypted"),
    (
        'F',
        "a capture filter from a file is -f \"$(cat FILE)\"; -w writes pcap where the name ends in .pcap, else pcapng",
    ),
    ('L', "rpcscope interfaces lists what can be sniffed; link types need not be chosen"),
    ('y', "link types need not be chosen: all that an interface offers and a file holds are read"),
    ('N', "names come from the wire and from --names FILE; no name server is ever asked"),
    ('H', "names come from the wire and from --names FILE (a hosts file)"),
    ('K', "checksums are never verified, so nothing has to be switched off"),
    ('S', "sequence numbers are not printed; rpcscope show ID FILE lists the packets of a call"),
    ('R', "the filter of calls is -Y, that of packets -f"),
    ('2', "one pass is enough; a filter may ask for all keys of a call: -Y"),
    ('u', "latencies carry their unit; --format jsonl has them in nanoseconds"),
    ('#', "packet numbers are in rpcscope show ID FILE and in the key packets"),
];

const BYTES: &str = "bytes are in rpcscope show ID FILE, for one call, and bodies in rpcscope calls --payload --format jsonl FILE, for all";
const DETAILS: &str = "details are in rpcscope show ID FILE, for one call, and in rpcscope calls --metadata --format jsonl FILE, for all";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_of_ours_is_in_the_table() {
        use clap::CommandFactory as _;
        let command = crate::cli::Cli::command();
        for (option, instead) in OPTIONS {
            // -V is the version, alone.
            let ours = command.get_arguments().any(|arg| arg.get_short() == Some(*option));
            assert!(!ours, "-{option}: {instead}");
            assert!(!instead.ends_with('.'), "{instead}");
        }
    }

    #[test]
    fn settings_of_tshark_are_told_from_files() {
        assert_eq!(
            instead_of_setting("tls.keylog_file:/tmp/k.log").as_deref(),
            Some("the key log is --tls-keylog /tmp/k.log")
        );
        assert!(instead_of_setting("tcp.desegment_tcp_streams:TRUE").is_some());
        for file in ["calls.jsonl", "C:x", "./tcp.x:TRUE", "host:port", "-", "a.b"] {
            assert_eq!(instead_of_setting(file), None, "{file}");
        }
    }
}
