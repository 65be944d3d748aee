//! RFC 7541's examples, round trips with an encoder that is not ours, and what holds for a reader that came late.

use fluke_hpack::Encoder;
use proptest::prelude::*;

use super::huffman::tests::encode as huffman;
use super::*;

type Pair = (Vec<u8>, Vec<u8>);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A name or value; `None` where it is unknown.
type Seen = Option<Vec<u8>>;

fn fields(list: List<'_>) -> Vec<(Seen, Seen)> {
    let text = |part: Part| list.text(part).map(<[u8]>::to_vec);
    list.fields.list.iter().map(|field| (text(field.key), text(field.value))).collect()
}

/// Reads a block; its fields without the texts of block and table.
fn read(decoder: &mut Decoder, wire: &str) -> Fields {
    let block = hex(wire);
    decoder.decode(&block).unwrap();
    let kept = decoder.list(&block).keep();
    assert_eq!(fields(kept.list()), fields(decoder.list(&block)));
    kept
}

/// What is wrong with a block, and at which octet.
fn fault(decoder: &mut Decoder, wire: &str) -> (&'static str, usize) {
    let error = decoder.decode(&hex(wire)).unwrap_err();
    assert_eq!(error.layer, Layer::Header);
    (error.what, error.offset)
}

fn check(decoder: &mut Decoder, wire: &str, expected: &[(&str, &str)], size: usize) {
    let list = read(decoder, wire);
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, value)| (Some(name.as_bytes().to_vec()), Some(value.as_bytes().to_vec())))
        .collect();
    assert_eq!(fields(list.list()), expected);
    assert_eq!(decoder.table.size(), size);
}

#[test]
fn entries_that_are_known_by_their_index_are_these() {
    assert_eq!(fixed(POST), Some((Name::Method, ":method", "POST")));
    assert_eq!(fixed(OK), Some((Name::Status, ":status", "200")));
}

#[test]
fn appendix_c_2_single_fields() {
    let mut decoder = Decoder::new();
    check(
        &mut decoder,
        "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
        &[("custom-key", "custom-header")],
        55,
    );
    let mut decoder = Decoder::new();
    check(&mut decoder, "040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], 0);
    check(&mut decoder, "1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], 0);
    check(&mut decoder, "82", &[(":method", "GET")], 0);
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn appendix_c_3_requests_without_huffman() {
    let mut decoder = Decoder::new();
    check(&mut decoder, "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 57);
    check(&mut decoder, "8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 110);
    let third = "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65";
    check(&mut decoder, third, REQUESTS[2], 164);
}

#[test]
fn appendix_c_4_requests_with_huffman() {
    let mut decoder = Decoder::new();
    check(&mut decoder, "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 57);
    check(&mut decoder, "8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 110);
    check(&mut decoder, "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2], 164);
}

const DATES: [&str; 2] = ["Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT"];
const LOCATION: &str = "https://www.example.com";
const COOKIE: &str = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";

#[test]
fn appendix_c_5_and_6_responses_that_evict() {
    let responses: [&[(&str, &str)]; 3] = [
        &[(":status", "302"), ("cache-control", "private"), ("date", DATES[0]), ("location", LOCATION)],
        &[(":status", "307"), ("cache-control", "private"), ("date", DATES[0]), ("location", LOCATION)],
        &[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", DATES[1]),
            ("location", LOCATION),
            ("content-encoding", "gzip"),
            ("set-cookie", COOKIE),
        ],
    ];
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
         3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let coded = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
         63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    for wires in [plain, coded] {
        let mut decoder = Decoder::new();
        decoder.table.update(256);
        for ((wire, expected), size) in wires.iter().zip(responses).zip([222, 222, 215]) {
            check(&mut decoder, wire, expected, size);
        }
    }
}

#[test]
fn faults_say_where_and_lose_the_table() {
    let faults = [
        ("82 be", "index beyond the table", 1),
        ("82 20", "table size update after a field", 1),
        ("3f e2 1f", "table size over what the peer allows", 0),
        ("00 0a 61", "string longer than its header block", 2),
        ("82 00 81 00 00", "broken Huffman code", 1),
    ];
    for (wire, what, offset) in faults {
        let mut decoder = Decoder::new();
        assert_eq!(fault(&mut decoder, wire), (what, offset), "{wire}");
        assert_eq!(fields(read(&mut decoder, "be").list()), [(None, None)], "after {wire}");
    }
}

#[test]
fn a_peer_may_use_what_the_other_allowed_before() {
    let mut decoder = Decoder::new();
    decoder.allow(8192);
    decoder.allow(0);
    // The size of the first settings, then the one that follows the second.
    decoder.decode(&hex("3f e1 3f")).unwrap();
    decoder.decode(&hex("20")).unwrap();
}

#[test]
fn unknown_entries_keep_their_identity_until_they_are_gone() {
    let mut decoder = Decoder::lost();
    let one = |fields: &Fields| fields.list().unread(1).unwrap()[0];
    let id = one(&read(&mut decoder, "c0"));
    // An insert pushes it down by one; the insert itself is known.
    let list = read(&mut decoder, "40 01 61 01 62 c1 be");
    assert_eq!(one(&list), id);
    assert_eq!(fields(list.list())[2], (Some(b"a".to_vec()), Some(b"b".to_vec())));
    // A value with a name from an unknown entry.
    let list = read(&mut decoder, "7f 02 01 39");
    assert_eq!(fields(list.list()), [(None, Some(b"9".to_vec()))]);
    assert_eq!(list.list().unread(1), None);
    assert!(!list.list().is_complete());
    // Another loss: the same index is another entry.
    decoder.lose();
    assert_ne!(one(&read(&mut decoder, "c0")), id);
    // An emptied table has nothing unknown in it.
    assert!(read(&mut decoder, "20 3f e1 1f 40 01 61 01 62 be").list().is_complete());
    assert_eq!(fault(&mut decoder, "bf"), ("index beyond the table", 0));
}

#[test]
fn newer_entries_that_fill_the_table_push_the_unknown_ones_out() {
    let mut decoder = Decoder::new();
    decoder.lose();
    let mut insert = hex("40 01 61 7f 89 01");
    insert.extend(std::iter::repeat_n(b'x', 264));
    for _ in 0..13 {
        decoder.decode(&insert).unwrap();
        assert!(!read(&mut decoder, "e0").list().is_complete());
    }
    // Fourteen times 297 octets are over 4096.
    decoder.decode(&insert).unwrap();
    assert_eq!(fault(&mut decoder, "e0"), ("index beyond the table", 0));
}

/// RFC 7541, section 4.4: the name of an entry that an insert evicts may be the one that the insert refers to.
#[test]
fn fields_outlive_the_entries_that_their_block_evicts() {
    let mut decoder = Decoder::new();
    decoder.table.update(69);
    // Twice an entry of 34 octets, then one of 36 with the first one's name, which drops both.
    let list = read(&mut decoder, "40 01 61 01 62 40 01 63 01 64 be bf 7f 00 03 78 79 7a be");
    let pair = |name: &str, value: &str| (Some(name.as_bytes().to_vec()), Some(value.as_bytes().to_vec()));
    let all =
        [pair("a", "b"), pair("c", "d"), pair("c", "d"), pair("a", "b"), pair("a", "xyz"), pair("a", "xyz")];
    assert_eq!(fields(list.list()), all);
    assert_eq!(decoder.table.size(), 36);
    // What is left of a name has moved when the next block begins.
    check(&mut decoder, "be", &[("a", "xyz")], 36);
}

#[test]
fn lists_are_bounded_and_the_table_goes_on() {
    let mut decoder = Decoder::new();
    let mut block = hex("40 01 61 7f a1 1e");
    block.extend(std::iter::repeat_n(b'x', 4000));
    block.extend(std::iter::repeat_n(0xbe, 100_000));
    block.extend(hex("40 01 62 01 63"));
    decoder.decode(&block).unwrap();
    let list = decoder.list(&block);
    assert!(list.is_shed() && !list.is_complete());
    assert!(list.fields.octets <= LIST_LIMIT && list.fields.list.len() <= FIELDS_LIMIT);
    assert!(list.keep().decoded.len() <= LIST_LIMIT as usize);
    let list = read(&mut decoder, "be");
    assert_eq!(fields(list.list()), [(Some(b"b".to_vec()), Some(b"c".to_vec()))]);
}

/// Lists of fields in which names and values come again.
fn lists() -> impl Strategy<Value = Vec<Vec<Pair>>> {
    let name = prop::sample::select(vec![":path", ":status", "grpc-status", "grpc-message", "x", "cookie"]);
    let short = prop::collection::vec(b'a'..=b'd', 0..3);
    let long = prop::collection::vec(any::<u8>(), 0..300);
    let value = prop_oneof![3 => short, 1 => long];
    let field = (name, value).prop_map(|(name, value)| (name.as_bytes().to_vec(), value));
    prop::collection::vec(prop::collection::vec(field, 0..12), 1..12)
}

/// An encoder with all that an encoder may do: any representation, Huffman or not, and size updates. `choices` says what it
/// does. The table is kept as a plain list of what the RFC says must be in it.
struct AnyEncoder {
    table: Vec<Pair>,
    max: usize,
}

impl AnyEncoder {
    fn integer(value: usize, prefix: u8, first: u8, out: &mut Vec<u8>) {
        fluke_hpack::encoder::encode_integer_into(value, prefix, first, out).unwrap();
    }

    fn string(text: &[u8], coded: bool, out: &mut Vec<u8>) {
        let coded = coded.then(|| huffman(text));
        let octets = coded.as_deref().unwrap_or(text);
        Self::integer(octets.len(), 7, if coded.is_some() { 0x80 } else { 0 }, out);
        out.extend_from_slice(octets);
    }

    fn evict(&mut self) {
        let size = |table: &[Pair]| table.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>();
        while size(&self.table) > self.max {
            self.table.pop();
        }
    }

    fn encode(
        &mut self,
        list: &[Pair],
        resize: Option<usize>,
        choices: &mut impl Iterator<Item = u8>,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(size) = resize {
            self.max = size;
            self.evict();
            Self::integer(size, 5, 0x20, &mut out);
        }
        for pair in list {
            let choice = choices.next().unwrap_or(0);
            let known: Vec<Pair> = (1..=STATIC_LEN)
                .map(|index| fixed(index).unwrap())
                .map(|(_, name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .chain(self.table.iter().cloned())
                .collect();
            if let Some(at) = known.iter().position(|other| other == pair)
                && choice & 3 != 3
            {
                Self::integer(at + 1, 7, 0x80, &mut out);
                continue;
            }
            let insert = choice & 4 == 0;
            let (prefix, first) = if insert { (6, 0x40) } else { (4, (choice & 8) << 1) };
            // The last of several entries of that name is as good as the first.
            let named = known.iter().rposition(|(name, _)| *name == pair.0).filter(|_| choice & 16 == 0);
            if let Some(at) = named {
                Self::integer(at + 1, prefix, first, &mut out);
            } else {
                out.push(first);
                Self::string(&pair.0, choice & 32 == 0, &mut out);
            }
            Self::string(&pair.1, choice & 64 == 0, &mut out);
            if insert {
                self.table.insert(0, pair.clone());
                self.evict();
            }
        }
        out
    }
}

proptest! {
    #[test]
    fn reads_what_fluke_writes(lists in lists(), sizes in prop::collection::vec(prop::option::of(0..=4096_usize), 12)) {
        let mut encoder = Encoder::new();
        let mut decoder = Decoder::new();
        for (list, size) in lists.iter().zip(sizes) {
            let mut block = Vec::new();
            if let Some(size) = size {
                encoder.set_max_table_size(size);
                AnyEncoder::integer(size, 5, 0x20, &mut block);
            }
            block.extend(encoder.encode(list.iter().map(|(name, value)| (&name[..], &value[..]))));
            prop_assert_eq!(decoder.decode(&block), Ok(()));
            let expected: Vec<_> = list.iter().cloned().map(|(name, value)| (Some(name), Some(value))).collect();
            prop_assert_eq!(fields(decoder.list(&block)), expected);
        }
    }

    /// A decoder that came late, at any block, reads the same or says that it does not know; and equal identities are
    /// equal fields.
    #[test]
    fn a_late_reader_never_differs(
        lists in lists(),
        sizes in prop::collection::vec(prop::option::weighted(0.2, 0..=4096_usize), 12),
        choices: Vec<u8>,
        missed in 0..12_usize,
        limited: bool,
    ) {
        let mut encoder = AnyEncoder { table: Vec::new(), max: 4096 };
        let mut choices = choices.into_iter().cycle();
        let mut full = Decoder::new();
        let mut late = if limited { Decoder::new() } else { Decoder::lost() };
        if limited {
            late.lose();
        }
        let mut named = std::collections::HashMap::new();
        for (at, (list, size)) in lists.iter().zip(sizes).enumerate() {
            let block = encoder.encode(list, size, &mut choices);
            prop_assert_eq!(full.decode(&block), Ok(()));
            let expected: Vec<_> = list.iter().cloned().map(|(name, value)| (Some(name), Some(value))).collect();
            prop_assert_eq!(fields(full.list(&block)), &expected[..]);
            if at < missed {
                continue;
            }
            prop_assert_eq!(late.decode(&block), Ok(()));
            let part = late.list(&block);
            let seen = fields(part);
            prop_assert_eq!(seen.len(), expected.len());
            for (index, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
                prop_assert!(seen.0.is_none() || seen.0 == expected.0);
                prop_assert!(seen.1.is_none() || seen.1 == expected.1);
                if let Part::Unknown(id) = part.fields.list[index].value {
                    let first = named.entry(id).or_insert_with(|| expected.clone());
                    prop_assert_eq!(&*first, expected);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(blocks: Vec<Vec<u8>>, lost: bool) {
        let mut decoder = if lost { Decoder::lost() } else { Decoder::new() };
        for block in blocks {
            let _ = decoder.decode(&block);
            decoder.list(&block).each(&mut |_, _| {});
        }
    }
}

#[test]
fn long_strings_that_come_again_are_what_they_were() {
    let (a, b) = ("a".repeat(120), "b".repeat(100));
    let mut decoder = Decoder::new();
    for (first, value) in
        [0x40, 0x00].into_iter().flat_map(|first| [&a, &a, &b, &a, &b, &b].map(|v| (first, v)))
    {
        let coded = huffman(value.as_bytes());
        let block = [&[first, 1, b'x', 0x80 | coded.len() as u8], &coded[..]].concat();
        decoder.decode(&block).unwrap();
        let expected = (Some(b"x".to_vec()), Some(value.as_bytes().to_vec()));
        assert_eq!(fields(decoder.list(&block)), [expected]);
        assert!(decoder.repeated.memory() > 0);
    }
    // A broken one is broken each time, and takes no place.
    let broken = [&[0x00, 1, b'x', 0x80 | 0x46][..], &[0xff; 70]].concat();
    for _ in 0..2 {
        let error = decoder.decode(&broken).unwrap_err();
        assert_eq!(error.what, "broken Huffman code");
    }
    decoder.shrink();
    assert_eq!(decoder.repeated.memory(), 0);
}

#[test]
fn the_user_agent_is_found_however_its_name_was_sent() {
    let mut decoder = Decoder::new();
    for wire in
        ["7a 03 61 2f 31", "be", "00 0a 75 73 65 72 2d 61 67 65 6e 74 03 61 2f 31", "0f 2b 03 61 2f 31"]
    {
        let list = read(&mut decoder, wire);
        assert_eq!(list.list().get(Name::UserAgent), Some(&b"a/1"[..]), "{wire}");
    }
    assert_eq!(read(&mut decoder, "40 01 61 01 62").list().get(Name::UserAgent), None);
}
