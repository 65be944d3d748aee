//! The rows of the Chains view: every hop of every chain that tells something, one below the other.

use hashbrown::HashMap;

use super::list::List;
use crate::calls::Uid;
use crate::chains::Chain;
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
        }
    }

    /// Takes chains; one with a root that is known takes the place of the old one. Single calls are no chain to look at.
    pub(in crate::tui) fn put(&mut self, chains: Vec<Chain>) {
        let mut again = false;
        for chain in chains.into_iter().filter(|c| c.hops.len() > 1) {
            let root = chain.root().uid;
            self.members.extend(chain.hops.iter().map(|hop| (hop.call.uid, root)));
            if let Some(&place) = self.roots.get(&root) {
                self.all[place] = chain;
                again = true;
            } else {
                if self.all.len() >= LIMIT {
                    self.make_room();
                    again = true;
                }
                self.roots.insert(root, self.all.len());
                self.all.push(chain);
                if !again {
                    self.push_rows(self.all.len() - 1);
                }
            }
        }
        if again {
            let selected = self.selected().map(|(chain, hop)| (chain.root().uid, hop));
            self.rows.clear();
            for place in 0..self.all.len() {
                self.push_rows(place);
            }
            if let Some((root, hop)) = selected {
                self.show(root, hop);
            }
        }
    }

    /// Rows of the view.
    pub(in crate::tui) fn len(&self) -> usize {
        self.rows.len()
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

    /// The chain that a call is in.
    pub(in crate::tui) fn of(&self, uid: Uid) -> Option<&Chain> {
        self.members.get(&uid).and_then(|root| self.all.get(*self.roots.get(root)?))
    }

    /// Moves the cursor by rows and over the rows between chains.
    pub(in crate::tui) fn step(&mut self, rows: isize) {
        self.list.step(rows, self.rows.len());
        let further = if rows < 0 { -1 } else { 1 };
        if !self.rows.is_empty() && self.selected().is_none() {
            self.list.step(further, self.rows.len());
        }
    }

    /// Puts the cursor on the hop of a call. Whether there is one.
    pub(in crate::tui) fn find(&mut self, uid: Uid) -> bool {
        let found = self.of(uid).and_then(|chain| Some((chain.root().uid, chain.find(uid)?)));
        let Some((root, hop)) = found else { return false };
        self.show(root, hop);
        true
    }

    fn show(&mut self, root: Uid, hop: usize) {
        let Some(&place) = self.roots.get(&root) else { return };
        let wanted = (place as u32, Some(hop as u32));
        let before = (place as u32, Some(0));
        if let Some(row) = self.rows.iter().position(|row| *row == wanted) {
            self.list.go(row);
            // The whole chain is shown if it fits, so its root comes to the top.
            self.list.top = self.rows.iter().position(|row| *row == before).unwrap_or(row);
        }
    }

    fn push_rows(&mut self, place: usize) {
        if !self.rows.is_empty() {
            self.rows.push((place as u32, None));
        }
        self.rows.extend((0..self.all[place].hops.len()).map(|hop| (place as u32, Some(hop as u32))));
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
