//! `rpcscope report`: one page of HTML that holds all it shows, for people who were not there.
//!
//! ```text
//! let mut gathered = Gathered::new(filter, max_kept);
//! gathered.chain(&chain);                                  // every chain
//! let details = …Details::add(&detail::collect(…)?)…       // of failed calls, as far as there is room
//! let html = page(gathered, &about);
//! ```
//!
//! | part | module |
//! | --- | --- |
//! | what is gathered from chains, within bounds | `model` |
//! | the paragraph at the top | `story` |
//! | calls over time, who calls whom | `timeline`, `graph` (SVG) |
//! | the calls of the table, as JSON for the page's script | `data` |
//! | one call's verdict, time line and bytes | `details` |
//! | the page itself | `view`, `templates/report.html`, `page.css`, `page.js` |
//!
//! Text of the wire is hostile. It goes through [`text::escape`](crate::text::escape), then through the template's escaping, [`html`] or
//! `data::push_string`. Beside that, the content security policy of the page allows its own script and style by their hashes, and
//! nothing else: no request to any host, no form, no frame.

mod data;
mod details;
mod graph;
mod model;
mod story;
mod timeline;
mod view;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

pub use details::Details;
pub use model::Gathered;
pub use view::{About, LogView, page};

/// Most calls in the table.
pub const MAX_CALLS: usize = 100_000;
/// Most bytes of the texts of the table.
const MAX_TEXTS: usize = 3_000_000;
/// Most kinds of errors, of origins and of chains.
const MAX_KINDS: usize = 2_000;
/// Most kinds of errors, and of origins, that are listed.
const MAX_LISTED: usize = 200;
/// Most chains.
const MAX_CHAINS: usize = 3_000;
/// Most bytes of chains, roughly as they are in the page.
const MAX_CHAIN_BYTES: usize = 3_500_000;
/// Most calls of a chain.
const MAX_HOPS: usize = 100;
/// Most bytes of details of calls.
const MAX_DETAIL_BYTES: usize = 4_000_000;
/// Most lines of logs, and most bytes of one.
const MAX_LINES: usize = 1_000;

/// Text for HTML, in elements and attributes. The template escapes by itself; this is for drawings.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The content security policy that allows this style and this script, and nothing else (CSP 3, section 8.2).
fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(style),
        hash(script)
    )
}

#[cfg(test)]
mod tests;
