//! The rows of the Chains view: every hop of every chain that tells something, one below the other.

use hashbrown::HashMap;

use super::list::List;
use super::matcher::Matcher;
use crate::calls::Uid;
use crate::chains::summary::{self, Turn};
use crate::chains::{Chain, Hop, Operation, Summary};
use crate::text;
use crate::tui::columns::Column;

/// The most chains that are held; above it the oldest without an error go, then the oldest.
const LIMIT: usize = 10_000;

/// All chains that are held and a cursor in their hops.
#[derive(Debug)]
pub(in crate::tui) struct Chains {
    all: Vec<Chain>,
    /// Place of a chain by the uid of its root.
    roots: HashMap<Uid, usize>,
    /// Uid of the root by that of each hop.
    members: HashMap<Uid, Uid>,
    /// Chain and hop of each row; a row without a hop stands between two chains.
    rows: Vec<(u32, Option<u32>)>,
    pub list: List,
    /// Chains that had to go.
    pub shed: u64,
    /// Chains that the filter hides.
    pub hidden: usize,
    /// Columns of the widest name with the lines of the tree before it.
    pub widest: usize,
    /// The sum of all that came: of single calls and of chains that had to go, too.
    summary: Summary,
}

impl Chains {
    pub(in crate::tui) fn new() -> Self {
        Self {
            all: Vec::new(),
            roots: HashMap::new(),
            members: HashMap::new(),
            rows: Vec::new(),
            list: List::new(Column::Method, None),
            shed: 0,
            hidden: 0,
            widest: 0,
            summary: Summary::default(),
        }
    }

    /// Takes chains, each of which comes once. Single calls are no chain to look at; they are only summed up.
    pub(in crate::tui) fn put(&mut self, chains: Vec<Chain>, matcher: &Matcher) {
        let mut again = false;
        for chain in chains {
            self.summary.add(&chain);
            if chain.hops.len() < 2 {
                continue;
            }
            let root = chain.root().uid;
            self.members.extend(chain.hops.iter().map(|hop| (hop.call.uid, root)));
            if self.all.len() >= LIMIT {
                self.make_room();
                again = true;
            }
            self.roots.insert(root, self.all.len());
            self.all.push(chain);
            if !again {
                self.push_rows(self.all.len() - 1, matcher);
            }
        }
        if again {
            self.filter(matcher);
        }
    }

    /// Makes the rows anew: those of the chains that the filter lets through. The cursor stays on its hop.
    pub(in crate::tui) fn filter(&mut self, matcher: &Matcher) {
        let selected = self.selected().map(|(chain, hop)| (chain.root().uid, hop));
        let on_screen = self.list.selected.saturating_sub(self.list.top);
        self.rows.clear();
        self.hidden = 0;
        for place in 0..self.all.len() {
            self.push_rows(place, matcher);
        }
        if let Some(row) = selected.and_then(|(root, hop)| self.row_of(root, hop)) {
            self.list.selected = row;
            self.list.top = row.saturating_sub(on_screen);
        } else {
            self.list.selected = 0;
            self.list.top = 0;
        }
    }

    /// Rows of the view.
    pub(in crate::tui) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Chains that are held, hidden ones too.
    pub(in crate::tui) fn held(&self) -> usize {
        self.all.len()
    }

    /// Chain and hop of a row; `None` for the row between two chains and beyond the end.
    pub(in crate::tui) fn row(&self, row: usize) -> Option<(&Chain, usize)> {
        let (chain, hop) = *self.rows.get(row)?;
        Some((self.all.get(chain as usize)?, hop? as usize))
    }

    /// Chain and hop under the cursor.
    pub(in crate::tui) fn selected(&self) -> Option<(&Chain, usize)> {
        self.row(self.list.selected)
    }

    /// The chain that a call is in, and its place there.
    pub(in crate::tui) fn of(&self, uid: Uid) -> Option<(&Chain, usize)> {
        let chain = self.members.get(&uid).and_then(|root| self.all.get(*self.roots.get(root)?))?;
        Some((chain, chain.find(uid)?))
    }

    /// What a graph calls the caller of a call: the service whose call caused it, where that is known.
    pub(in crate::tui) fn caller(&self, call: &crate::calls::Call) -> String {
        self.of(call.uid).map_or_else(|| summary::outside(call), |(chain, hop)| summary::ends(chain, hop).0)
    }

    /// The sum of what the filter lets through: without one of all that came, else of the chains that are held.
    pub(in crate::tui) fn sum(&self, matcher: &Matcher) -> std::borrow::Cow<'_, Summary> {
        use std::borrow::Cow;
        if !matcher.has_filter() {
            return Cow::Borrowed(&self.summary);
        }
        let mut sum = Summary::default();
        self.all.iter().filter(|chain| matcher.lets_through(chain)).for_each(|chain| sum.add(chain));
        Cow::Owned(sum)
    }

    /// Moves the cursor by rows and over the rows between chains.
    pub(in crate::tui) fn step(&mut self, rows: isize) {
        self.list.step(rows, self.rows.len());
        let further = if rows < 0 { -1 } else { 1 };
        if !self.rows.is_empty() && self.selected().is_none() {
            self.list.step(further, self.rows.len());
        }
    }

    /// Puts the cursor on the hop of a call. Whether it is among the rows.
    pub(in crate::tui) fn find(&mut self, uid: Uid) -> bool {
        let Some((chain, hop)) = self.of(uid) else { return false };
        let root = chain.root().uid;
        let Some(row) = self.row_of(root, hop) else { return false };
        self.list.go(row);
        // The whole chain is shown if it fits, so its root comes to the top.
        self.list.top = row - hop;
        true
    }

    /// A call in which a service turned an error as `turn` says: the example, or one of a chain that is still held.
    pub(in crate::tui) fn example(&self, turn: &Turn) -> Option<Uid> {
        if self.of(turn.example).is_some() {
            return Some(turn.example);
        }
        let same = |other: &Turn| (&other.from, &other.to) == (&turn.from, &turn.to);
        self.all.iter().flat_map(summary::turns).find(same).map(|other| other.example)
    }

    fn row_of(&self, root: Uid, hop: usize) -> Option<usize> {
        let place = *self.roots.get(&root)? as u32;
        // Rows stand in the order of the chains.
        let first = self.rows.partition_point(|(chain, _)| *chain < place);
        let wanted = (place, Some(hop as u32));
        self.rows[first..]
            .iter()
            .take_while(|row| row.0 == place)
            .position(|row| *row == wanted)
            .map(|at| first + at)
    }

    fn push_rows(&mut self, place: usize, matcher: &Matcher) {
        let chain = &self.all[place];
        if !matcher.lets_through(chain) {
            self.hidden += 1;
            return;
        }
        if !self.rows.is_empty() {
            self.rows.push((place as u32, None));
        }
        self.rows.extend((0..chain.hops.len()).map(|hop| (place as u32, Some(hop as u32))));
        let name = |hop: &Hop| text::width(&text::escape(&Operation(&hop.call).to_string()));
        let widest = chain.hops.iter().map(|hop| hop.depth as usize * 2 + name(hop)).max().unwrap_or(0);
        self.widest = self.widest.max(widest);
    }

    fn make_room(&mut self) {
        let mut goes = LIMIT / 8;
        for failed_too in [false, true] {
            self.all.retain(|chain| {
                let leaves = goes > 0 && (failed_too || !chain.hops.iter().any(|hop| hop.call.failed()));
                goes -= usize::from(leaves);
                self.shed += u64::from(leaves);
                !leaves
            });
        }
        self.roots = self.all.iter().enumerate().map(|(place, c)| (c.root().uid, place)).collect();
        self.members.retain(|_, root| self.roots.contains_key(root));
    }
}
