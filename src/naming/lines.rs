//! Hosts files (hosts(5)) and CSV (RFC 4180, without line ends in quotes).

use std::io::{self, BufRead, Read as _};

use super::address::Pattern;
use super::table::Builder;
use crate::calls::record::Named;
use crate::text;

/// Longest line in bytes.
const MAX_LINE: u64 = 16 << 10;

/// Most columns of CSV that are looked at.
const MAX_COLUMNS: usize = 64;

/// What a hosts file calls addresses that are the same on every host: such names say nothing.
const EVERYWHERE: [&str; 5] =
    ["localhost", "localhost.localdomain", "localhost4", "localhost6", "broadcasthost"];

/// The forms of a file of lines.
enum Form {
    Hosts,
    Csv(Columns),
}

/// Where CSV has what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    address: usize,
    name: Option<usize>,
    pod: Option<usize>,
    node: Option<usize>,
    namespace: Option<usize>,
}

/// The columns of a file without a head.
const PLAIN: Columns = Columns { address: 0, name: Some(1), pod: Some(2), node: Some(3), namespace: None };

/// Reads all lines. An error says why the file is none of names.
pub(super) fn read(input: &mut dyn BufRead, builder: &mut Builder) -> Result<(), String> {
    let mut form = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read =
            input.take(MAX_LINE + 1).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        let place = format!("line {number}");
        if line.len() as u64 > MAX_LINE && line.last() != Some(&b'\n') {
            skip_line(input).map_err(|error| error.to_string())?;
            builder.fault(place, format!("is longer than {MAX_LINE} bytes"));
            continue;
        }
        if line.contains(&0) {
            return Err(format!("{place}: {}", super::NO_FORM));
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match &form {
            None => match first(text) {
                Ok((found, is_head)) => {
                    if !is_head {
                        one(&found, text, &place, builder);
                    }
                    form = Some(found);
                }
                Err(why) => return Err(format!("{place}: {why}")),
            },
            Some(form) => one(form, text, &place, builder),
        }
    }
    Ok(())
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The form of the file by its first line, and whether that is a head.
fn first(line: &str) -> Result<(Form, bool), String> {
    if !line.contains(',') {
        let word = line.split_whitespace().next().unwrap_or_default();
        return match Pattern::parse(word) {
            Some(_) => Ok((Form::Hosts, false)),
            None => Err(super::NO_FORM.to_owned()),
        };
    }
    let fields = fields(line)?;
    if fields.first().is_some_and(|field| Pattern::parse(field).is_some()) {
        return Ok((Form::Csv(PLAIN), false));
    }
    let at =
        |names: &[&str]| fields.iter().position(|field| names.contains(&field.to_ascii_lowercase().as_str()));
    let address = at(&["address", "ip", "addr", "cidr", "endpoint"]).ok_or_else(|| {
        "is neither a row that begins with an address, nor a head with a column address (others: name, pod, node, namespace)"
            .to_owned()
    })?;
    let (name, pod) = (at(&["name", "service"]), at(&["pod"]));
    let (node, namespace) = (at(&["node", "host", "hostname"]), at(&["namespace"]));
    Ok((Form::Csv(Columns { address, name, pod, node, namespace }), true))
}

/// Takes the names of a line.
fn one(form: &Form, line: &str, place: &str, builder: &mut Builder) {
    let taken = match form {
        Form::Hosts => host(line, place, builder),
        Form::Csv(columns) => fields(line).and_then(|fields| row(*columns, &fields, place, builder)),
    };
    if let Err(what) = taken {
        builder.fault(place, what);
    }
}

fn address(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        format!(
            "'{}' is not an address (10.0.0.1, 10.0.0.1:80, 10.0.0.0/24, [fd00::1]:80)",
            text::escape(&shown)
        )
    })
}

/// `10.0.0.1  order order.shop  # note`: the first name is the official one. The first line of an address counts, as for resolvers.
fn host(line: &str, place: &str, builder: &mut Builder) -> Result<(), String> {
    let line = line.split('#').next().unwrap_or_default();
    let mut words = line.split_whitespace();
    let pattern = address(words.next().unwrap_or_default())?;
    let name = words.next().ok_or("has no name after its address")?;
    if EVERYWHERE.contains(&name) || name.starts_with("ip6-") {
        return Ok(());
    }
    let name = builder.name(name).ok_or("has too long a name")?;
    builder.add_first(pattern, Named { name: Some(name), ..Named::default() }, place);
    Ok(())
}

fn row(columns: Columns, fields: &[String], place: &str, builder: &mut Builder) -> Result<(), String> {
    let field = |at: Option<usize>| {
        at.and_then(|at| fields.get(at)).map(|field| field.trim()).filter(|field| !field.is_empty())
    };
    let pattern = address(field(Some(columns.address)).unwrap_or_default())?;
    let namespace = field(columns.namespace);
    let mut part = |at, join: fn(&str, &str) -> String| {
        let text = match (field(at), namespace) {
            (None, _) => return Ok(None),
            (Some(text), Some(namespace)) => join(namespace, text),
            (Some(text), None) => text.to_owned(),
        };
        builder.name(&text).map(Some).ok_or("has too long a name")
    };
    let name = part(columns.name, super::service_in)?;
    let pod = part(columns.pod, super::pod_in)?;
    let node = part(columns.node, |_, node| node.to_owned())?;
    let named = Named { name, pod, node, pod_uid: None };
    if named == Named::default() {
        return Err("has no name for its address".into());
    }
    builder.add(pattern, named, place);
    Ok(())
}

/// The fields of a line of CSV.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = field(rest)?;
        if fields.len() < MAX_COLUMNS {
            fields.push(field);
        }
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// The next field, and what follows its comma.
fn field(line: &str) -> Result<(String, Option<&str>), String> {
    let Some(mut rest) = line.trim_start().strip_prefix('"') else {
        return Ok(match line.split_once(',') {
            Some((field, rest)) => (field.trim().to_owned(), Some(rest)),
            None => (line.trim().to_owned(), None),
        });
    };
    let mut field = String::new();
    loop {
        let (part, after) = rest.split_once('"').ok_or("has a quote that does not end in its line")?;
        field.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            rest = more;
            continue;
        }
        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(rest) => Ok((field, Some(rest))),
            None if after.is_empty() => Ok((field, None)),
            None => Err("has text after a closing quote".into()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{names, wrong};

    #[test]
    fn hosts_files() {
        let file = "# comment\n127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n\n10.0.0.1\torder order.shop # x\n\
                    10.0.0.1 alias\nfd00::1 six\n10.0.0.2\nbroken name\n10.1.0.0/16 shop\r\n";
        let (found, said) = names(file, &["10.0.0.1:1", "[fd00::1]:1", "127.0.0.1:1", "10.1.5.5:1"]);
        assert_eq!(found, ["order", "six", "-", "shop"]);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].starts_with("line 8: has no name") && said[1].starts_with("line 9: 'broken' is not"),
            "{said:?}"
        );
    }

    #[test]
    fn csv_with_and_without_a_head() {
        let plain =
            "\u{feff}10.0.0.1:80,order,shop/order-1,node-7\n10.0.0.0/24,\"a \"\"b\"\", c\"\n10.9.9.9\n";
        let (found, said) = names(plain, &["10.0.0.1:80", "10.0.0.9:1"]);
        assert_eq!(found, ["order shop/order-1 node-7", "a \"b\", c"]);
        assert!(said[0].starts_with("line 3: has no name"), "{said:?}");
        let head = "Namespace,Node,IP,Service,Pod,Other\nshop,n1,10.0.0.1,order,order-1,x\ndefault,n2,10.0.0.2,cart,,\n";
        let (found, said) = names(head, &["10.0.0.1:80", "10.0.0.2:1"]);
        assert_eq!(
            (found, said),
            (vec!["order.shop shop/order-1 n1".to_owned(), "cart n2".to_owned()], vec![])
        );
        for (broken, what) in [
            ("10.0.0.1,\"order\n", "line 1: has a quote"),
            ("10.0.0.1,\"order\" x\n", "line 1: has text"),
            ("name,pod\n", "line 1: is neither"),
            ("order 10.0.0.1\n", "line 1: "),
            ("10.0.0.1\0,order\n", "line 1: "),
        ] {
            assert!(wrong(broken).starts_with(what), "{}", wrong(broken));
        }
    }

    #[test]
    fn a_long_line_is_passed_over() {
        let long = format!("10.0.0.1 {}\n10.0.0.2 b\n10.0.0.3 {}", "x".repeat(1 << 20), "y".repeat(1 << 20));
        let (found, said) = names(&long, &["10.0.0.1:1", "10.0.0.2:1"]);
        assert_eq!(found, ["-", "b"]);
        assert_eq!(said.len(), 2);
    }
}
