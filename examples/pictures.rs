//! Makes the pictures of the documentation: runs the built program in a pseudo-terminal on bundled captures, presses keys,
//! and writes the screens as SVG.
//!
//! ```text
//! cargo build --release && cargo run --release --example pictures      # writes docs/*.svg
//! ```

#[path = "../tests/it/terminal.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod terminal;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use terminal::Session;
use vt100::{Cell, Color};

/// Size of a character cell in the picture.
const CELL: (f32, f32) = (8.4, 18.0);
/// Space around the screen.
const MARGIN: f32 = 14.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d8dae0";
/// Makes the picture stand out on dark pages.
const BORDER: &str = "#3a3f4a";

/// A picture: its name, the capture, the size of the terminal, and steps: keys, and a text that the screen shows after them
/// (at its bottom, which is drawn last).
struct Picture {
    name: &'static str,
    capture: &'static str,
    size: (u16, u16),
    steps: &'static [(&'static str, &'static str)],
}

const PICTURES: [Picture; 6] = [
    Picture {
        name: "calls",
        capture: "captures/demo/all-classes.pcap",
        size: (120, 30),
        steps: &[("", "gaps 0  done"), ("jjjjjjj", "8/174")],
    },
    Picture {
        name: "detail",
        capture: "captures/trpc/chain-mixed.pcap",
        size: (120, 30),
        steps: &[
            ("", "drops 0  gaps 0  done"),
            ("e", "2/74"),
            ("\r", "← answer: 3"),
            ("jjjjjjjjjjj", "func_ret: 31"),
        ],
    },
    Picture {
        name: "chains",
        capture: "captures/grpc/chain-grpc-ttheader-grpc.pcap",
        size: (120, 30),
        steps: &[("", "drops 0  gaps 0  done"), ("5", "% sure"), ("e", "5/31")],
    },
    Picture {
        name: "graph",
        capture: "captures/demo/all-classes.pcap",
        size: (120, 18),
        steps: &[("", "drops 0  gaps 0  done"), ("5v", "who calls whom"), ("jjjjj", "6/8")],
    },
    Picture {
        name: "changes",
        capture: "captures/grpc/chain-grpc-ttheader-grpc.pcap",
        size: (120, 18),
        steps: &[("", "drops 0  gaps 0  done"), ("5s", "what happened"), ("j", "2/8")],
    },
    Picture {
        name: "services",
        capture: "captures/demo/all-classes.pcap",
        size: (120, 30),
        steps: &[("", "gaps 0  done"), ("3", "1/26")],
    },
];

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = program()?;
    for picture in &PICTURES {
        let mut session = Session::open(&program, &[Path::new(picture.capture)], root, picture.size);
        for (keys, shown) in picture.steps {
            session.keys(keys);
            session.wait_for(shown);
        }
        let svg = svg(session.screen());
        session.keys("q");
        session.end();
        std::fs::write(root.join("docs").join(picture.name).with_extension("svg"), svg)?;
    }
    Ok(())
}

/// The program beside this example: `target/PROFILE/rpcscope`.
fn program() -> std::io::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let profile = example.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(profile.join("rpcscope"))
}

/// The screen as a picture. Every run of cells with the same style is one text element of a fixed length, so that columns
/// are aligned in every font.
fn svg(screen: &vt100::Screen) -> String {
    let (rows, cols) = screen.size();
    let (rows, cols) = (rows.get(), cols.get());
    let width = f32::from(cols) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(rows) * CELL.1 + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\">\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"8\" fill=\"{BACKGROUND}\" stroke=\"{BORDER}\"/>\n",
        width.floor() - 1.0,
        height.floor() - 1.0
    );
    for row in 0..rows {
        let mut at = 0;
        while at < cols {
            let Some(first) = screen.cell(row, at) else { break };
            let style = Style::of(first);
            let begin = at;
            let mut text = String::new();
            if let Some(eighths) = block(first) {
                bar(&mut out, row, at, eighths, &style);
                at += 1;
                continue;
            }
            let alike = |cell: &&Cell| Style::of(cell) == style && block(cell).is_none();
            while let Some(cell) = screen.cell(row, at).filter(alike) {
                if !cell.is_wide_continuation() {
                    text.push_str(if cell.has_contents() { cell.contents() } else { " " });
                }
                at += 1;
            }
            element(&mut out, row, begin, at - begin, &text, &style);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// How many eighths of its cell a bar fills from below; `None` for other characters. Bars are drawn as rectangles, because
/// fonts leave gaps between them.
fn block(cell: &Cell) -> Option<u32> {
    let character = cell.contents().chars().next()?;
    ('▁'..='█').contains(&character).then(|| character as u32 - '▁' as u32 + 1)
}

fn bar(out: &mut String, row: u16, column: u16, eighths: u32, style: &Style) {
    let height = CELL.1 * eighths as f32 / 8.0;
    let x = MARGIN + f32::from(column) * CELL.0;
    let y = MARGIN + f32::from(row + 1) * CELL.1 - height;
    if let Some(background) = &style.background {
        let top = MARGIN + f32::from(row) * CELL.1;
        rectangle(out, (x, top), (CELL.0, CELL.1), background);
    }
    rectangle(out, (x, y), (CELL.0, height), &style.foreground);
}

fn rectangle(out: &mut String, (x, y): (f32, f32), (width, height): (f32, f32), fill: &str) {
    // Writing to a String can't fail.
    _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>"
    );
}

fn element(out: &mut String, row: u16, column: u16, cells: u16, text: &str, style: &Style) {
    let x = MARGIN + f32::from(column) * CELL.0;
    let y = MARGIN + f32::from(row) * CELL.1;
    let length = f32::from(cells) * CELL.0;
    if let Some(background) = &style.background {
        rectangle(out, (x, y), (length, CELL.1), background);
    }
    let trimmed = text.trim_end();
    if trimmed.is_empty() {
        return;
    }
    let mut attributes = String::new();
    if style.bold {
        attributes.push_str(" font-weight=\"bold\"");
    }
    if style.underline {
        attributes.push_str(" text-decoration=\"underline\"");
    }
    let safe = trimmed.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let blank = text.chars().count() - trimmed.chars().count();
    let shown = length - blank as f32 * CELL.0;
    _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{shown:.1}\" xml:space=\"preserve\" fill=\"{}\"{attributes}>{safe}</text>",
        y + CELL.1 * 0.76,
        style.foreground
    );
}

/// The style of a cell.
#[derive(PartialEq, Eq)]
struct Style {
    foreground: String,
    background: Option<String>,
    bold: bool,
    underline: bool,
}

impl Style {
    fn of(cell: &Cell) -> Self {
        let mut foreground = color(cell.fgcolor()).unwrap_or_else(|| FOREGROUND.to_owned());
        let mut background = color(cell.bgcolor());
        if cell.inverse() {
            let swapped = background.unwrap_or_else(|| BACKGROUND.to_owned());
            background = Some(std::mem::replace(&mut foreground, swapped));
        }
        Self { foreground, background, bold: cell.bold(), underline: cell.underline() }
    }
}

/// A colour of the xterm palette; `None` is the terminal's own.
fn color(color: Color) -> Option<String> {
    const NAMED: [&str; 16] = [
        "#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5", "#666666",
        "#f14c4c", "#23d18b", "#f5f543", "#3b8eea", "#d670d6", "#29b8db", "#ffffff",
    ];
    match color {
        Color::Default => None,
        Color::Idx(index @ 0..16) => Some(NAMED[usize::from(index)].to_owned()),
        Color::Idx(index @ 16..232) => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + n * 40 };
            let cube = index - 16;
            Some(format!("#{:02x}{:02x}{:02x}", step(cube / 36), step(cube / 6 % 6), step(cube % 6)))
        }
        Color::Idx(index) => {
            let grey = 8 + (index - 232) * 10;
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}
