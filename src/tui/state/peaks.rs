//! The strip of calls over time, and the jumps that begin there.

use std::cmp::Reverse;

use super::State;
use crate::text;
use crate::tui::render::STRIP_LABEL;
use crate::tui::store::Serial;
use crate::tui::timeline::{Columns, failed};
use crate::tui::views::{View as _, ViewId};

/// From this height on the strip has room, and from this one on also the bars of all calls.
const ROOM: [u16; 2] = [22, 30];

/// The last jump to a peak: how many peaks are higher, and the call that it went to.
pub(super) type Peak = (usize, Option<Serial>);

impl State {
    /// Lines of the strip above the open view.
    pub(in crate::tui) fn strip_lines(&self) -> u16 {
        match self.height {
            _ if self.view_id != ViewId::Calls => 0,
            height if height >= ROOM[1] => 3,
            height if height >= ROOM[0] => 2,
            _ => 0,
        }
    }

    /// Calls over time in as many parts as there is room for, without the classes that are switched off.
    pub(in crate::tui) fn strip(&self) -> Columns {
        let room = usize::from(self.width.saturating_sub(STRIP_LABEL + 1));
        self.cx.figures().timeline.columns(room).without(|class| self.cx.matcher.hides(class))
    }

    /// The part of the strip that the selected call is in.
    pub(in crate::tui) fn selected_part(&self, columns: &Columns) -> Option<usize> {
        columns.part_of(self.views.calls.selected(&self.cx)?.1.start)
    }

    /// Goes to the first failed call of the part of the strip with most failed calls; again, to that of the next part.
    pub(super) fn next_peak(&mut self) {
        let columns = self.strip();
        let mut peaks: Vec<usize> =
            (0..columns.parts.len()).filter(|at| failed(&columns.parts[*at]) > 0).collect();
        peaks.sort_by_key(|at| Reverse(failed(&columns.parts[*at])));
        if peaks.is_empty() {
            self.notice = Some("no failed calls here".to_owned());
            return;
        }
        self.show(ViewId::Calls);
        let selected = self.views.calls.selected(&self.cx).map(|(serial, _)| serial);
        let rank = match self.peak {
            (rank, serial) if serial.is_some() && serial == selected => (rank + 1) % peaks.len(),
            _ => 0,
        };
        let (from, _) = columns.span(peaks[rank]);
        self.views.calls.go_to_time(from);
        let first = self.views.calls.list.selected;
        let failed_row = (first..self.views.calls.len())
            .find(|row| self.views.calls.is_failed(&self.cx, *row) == Some(true));
        self.views.calls.go(failed_row.unwrap_or(first));
        let count = text::counted(failed(&columns.parts[peaks[rank]]).into(), "failed call");
        let (nth, of) = (rank + 1, peaks.len());
        let per = text::duration(columns.width.unsigned_abs());
        self.notice =
            Some(format!("peak {nth} of {of}: {count} in {per} from {}", self.cx.clock(from, None)));
        self.peak = (rank, self.views.calls.selected(&self.cx).map(|(serial, _)| serial));
    }

    /// Goes to the calls below a column of the strip.
    pub(super) fn go_to_column(&mut self, x: u16) {
        let columns = self.strip();
        let part = x.checked_sub(STRIP_LABEL).map(usize::from).filter(|part| *part < columns.parts.len());
        if let Some(part) = part {
            self.go_to_time(columns.span(part).0);
        }
    }
}
