//! All targets by name, for a run that needs no libFuzzer.

/// What a target runs on the bytes of an input.
pub type Run = fn(&[u8]);

/// The target of this name: `fuzz_targets/NAME.rs` runs the same.
#[must_use]
pub fn find(name: &str) -> Option<Run> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}

/// Every target, in the order of their names.
pub const TARGETS: &[(&str, Run)] = &[
    ("body", crate::body),
    ("body_descriptors", crate::body_descriptors),
    ("body_idl", crate::body_idl),
    ("body_proto", crate::body_proto),
    ("capture", crate::capture),
    ("escape", crate::escape),
    ("explain", crate::explain),
    ("file_gzip", crate::file_gzip),
    ("file_pcap", crate::file_pcap),
    ("file_pcapng", crate::file_pcapng),
    ("file_zstd", crate::file_zstd),
    ("filter", crate::filter),
    ("hpack", crate::hpack),
    ("outcome", crate::outcome),
    ("packet", crate::packet),
    ("pairing", crate::pairing),
    ("prelude", crate::prelude),
    ("reassembly", crate::reassembly),
    ("session_buffered", |data| crate::session("buffered", data)),
    ("session_framed", |data| crate::session("framed", data)),
    ("session_http1", |data| crate::session("http1", data)),
    ("session_http2", |data| crate::session("http2", data)),
    ("session_mesh_header", |data| crate::session("mesh-header", data)),
    ("session_theader", |data| crate::session("theader", data)),
    ("session_trpc", |data| crate::session("trpc", data)),
    ("session_ttheader", |data| crate::session("ttheader", data)),
    ("session_ttwitter", |data| crate::session("ttwitter", data)),
    ("time", crate::time),
    ("tls_keylog", crate::tls_keylog),
    ("tls_records", crate::tls_records),
    ("traffic", crate::traffic),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_target_has_its_line() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(files, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
