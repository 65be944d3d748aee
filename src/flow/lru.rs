//! Connections in blocks of memory, each in one of several queues in the order of their last use.

/// Values that are allocated together: a table grows without being moved, and a small one takes little.
const BLOCK: usize = 256;

/// No node.
const NONE: u32 = u32::MAX;

/// Which queue a connection stands in, each in the order in which its members were last moved to the back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// TCP connections in use.
    Open,
    /// UDP.
    Datagrams,
    /// Closed TCP connections.
    Lingering,
}

/// Both ends of a queue.
#[derive(Clone, Copy, Debug)]
struct Ends {
    front: u32,
    back: u32,
}

#[derive(Debug)]
struct Node<T> {
    /// `None` for a free node.
    value: Option<T>,
    queue: Queue,
    before: u32,
    /// The next in the queue; of a free node, the next free one.
    behind: u32,
}

/// Nodes by number.
#[derive(Debug)]
struct Nodes<T> {
    /// All full but the last.
    blocks: Vec<Vec<Node<T>>>,
}

impl<T> Nodes<T> {
    #[inline]
    fn get(&self, id: u32) -> Option<&Node<T>> {
        self.blocks.get(id as usize / BLOCK)?.get(id as usize % BLOCK)
    }

    #[inline]
    fn get_mut(&mut self, id: u32) -> Option<&mut Node<T>> {
        self.blocks.get_mut(id as usize / BLOCK)?.get_mut(id as usize % BLOCK)
    }

    fn push(&mut self, node: Node<T>) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = self.blocks.len() - 1;
        let Some(block) = self.blocks.last_mut() else { return NONE };
        block.push(node);
        (full * BLOCK + block.len() - 1) as u32
    }
}

/// Values at stable small numbers, threaded on queues. All operations are O(1).
#[derive(Debug)]
pub(super) struct Lru<T> {
    nodes: Nodes<T>,
    free: u32,
    len: usize,
    queues: [Ends; 3],
}

impl<T> Lru<T> {
    /// Memory of one value.
    pub(super) const NODE: usize = size_of::<Node<T>>();

    pub(super) fn new() -> Self {
        Self {
            nodes: Nodes { blocks: Vec::new() },
            free: NONE,
            len: 0,
            queues: [Ends { front: NONE, back: NONE }; 3],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: u32) -> Option<&T> {
        self.nodes.get(id)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.nodes.get_mut(id)?.value.as_mut()
    }

    /// The values with their numbers, in the order of these.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..)
            .zip(self.nodes.blocks.iter().flatten())
            .filter_map(|(id, node)| Some((id, node.value.as_ref()?)))
    }

    /// All values.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.nodes.blocks.iter_mut().flatten().filter_map(|node| node.value.as_mut())
    }

    /// Puts a value at the back of a queue and says its number.
    pub(super) fn insert(&mut self, value: T, queue: Queue) -> u32 {
        let node = Node { value: Some(value), queue, before: NONE, behind: NONE };
        let id = self.free;
        let id = if let Some(free) = self.nodes.get_mut(id) {
            self.free = free.behind;
            *free = node;
            id
        } else {
            self.nodes.push(node)
        };
        self.len += 1;
        self.link(id, queue);
        id
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.nodes.get_mut(id)?.value.take()?;
        self.unlink(id);
        self.nodes.get_mut(id)?.behind = self.free;
        self.free = id;
        self.len -= 1;
        Some(value)
    }

    /// Moves a value to the back of a queue.
    pub(super) fn move_to_back(&mut self, id: u32, queue: Queue) {
        self.unlink(id);
        self.link(id, queue);
    }

    /// The first of a queue.
    pub(super) fn front(&self, queue: Queue) -> Option<u32> {
        Some(self.queues[queue as usize].front).filter(|id| *id != NONE)
    }

    /// The one behind `id` in its queue.
    pub(super) fn behind(&self, id: u32) -> Option<u32> {
        Some(self.nodes.get(id)?.behind).filter(|id| *id != NONE)
    }

    fn link(&mut self, id: u32, queue: Queue) {
        let back = self.queues[queue as usize].back;
        match self.nodes.get_mut(back) {
            Some(node) => node.behind = id,
            None => self.queues[queue as usize].front = id,
        }
        self.queues[queue as usize].back = id;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.queue = queue;
        node.before = back;
        node.behind = NONE;
    }

    fn unlink(&mut self, id: u32) {
        let Some(&Node { queue, before, behind, .. }) = self.nodes.get(id) else { return };
        match self.nodes.get_mut(before) {
            Some(node) => node.behind = behind,
            None => self.queues[queue as usize].front = behind,
        }
        match self.nodes.get_mut(behind) {
            Some(node) => node.before = before,
            None => self.queues[queue as usize].back = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn queued(lru: &Lru<u16>, queue: Queue) -> Vec<u32> {
        std::iter::successors(lru.front(queue), |id| lru.behind(*id)).collect()
    }

    proptest! {
            #[test]
            fn queues_are_those_of_a_plain_model(steps in prop::collection::vec((0u8..4, any::<u16>()), 0..200)) {
                const QUEUES: [Queue; 3] = [Queue::Open, Queue::Datagrams, Queue::Lingering];
                let mut lru = Lru::new();
                let mut model: [VecDeque<(u32, u16)>; 3] = Default::default();
                for (step, value) in steps {
                    let queue = usize::from(value) % 3;
                    let all: Vec<(u32, u16)> = model.iter().flatten().copied().collect();
                    match (step, all.get(usize::from(value) % all.len().max(1))) {
                        (1, Some(&(id, value))) => {
                            prop_assert_eq!(lru.remove(id), Some(value));
                            for queue in &mut model {
     queue.retain(|x| x.0 != id);
    }
                        }
                        (2, Some(&pair)) => {
                            lru.move_to_back(pair.0, QUEUES[queue]);
                            for queue in &mut model {
     queue.retain(|x| x.0 != pair.0);
    }
                            model[queue].push_back(pair);
                        }
                        _ => {
                            let id = lru.insert(value, QUEUES[queue]);
                            model[queue].push_back((id, value));
                        }
                    }
                    for (queue, model) in QUEUES.iter().zip(&model) {
                        prop_assert_eq!(queued(&lru, *queue), model.iter().map(|x| x.0).collect::<Vec<_>>());
                    }
                    prop_assert_eq!(lru.len(), model.iter().map(VecDeque::len).sum::<usize>());
                }
            }
        }
}
