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
    /// TCP connections that were shrunk when memory was scarce, and had no packet since.
    Shrunk,
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
    /// The next in the queue; of a free node, the next free one of its block.
    behind: u32,
}

/// Nodes that are allocated together.
#[derive(Debug)]
struct Block<T> {
    nodes: Vec<Node<T>>,
    /// The first free one of them.
    free: u32,
    used: u32,
}

/// Nodes by number. A block without values is freed, but for the one that the next value goes to.
#[derive(Debug)]
struct Nodes<T> {
    blocks: Vec<Block<T>>,
    /// Blocks with room; the next value goes to the last.
    roomy: Vec<u32>,
}

impl<T> Nodes<T> {
    #[inline]
    fn get(&self, id: u32) -> Option<&Node<T>> {
        self.blocks.get(id as usize / BLOCK)?.nodes.get(id as usize % BLOCK)
    }

    #[inline]
    fn get_mut(&mut self, id: u32) -> Option<&mut Node<T>> {
        self.blocks.get_mut(id as usize / BLOCK)?.nodes.get_mut(id as usize % BLOCK)
    }

    fn push(&mut self, node: Node<T>) -> u32 {
        if self.roomy.is_empty() {
            self.roomy.push(self.blocks.len() as u32);
            self.blocks.push(Block { nodes: Vec::new(), free: NONE, used: 0 });
        }
        let Some((&number, block)) =
            self.roomy.last().and_then(|number| Some((number, self.blocks.get_mut(*number as usize)?)))
        else {
            return NONE;
        };
        let first = number * BLOCK as u32;
        let id = match block.nodes.get_mut((block.free % BLOCK as u32) as usize) {
            Some(free) if block.free != NONE => {
                let id = block.free;
                block.free = free.behind;
                *free = node;
                id
            }
            _ => {
                if block.nodes.is_empty() {
                    block.nodes.reserve_exact(BLOCK);
                }
                block.nodes.push(node);
                first + block.nodes.len() as u32 - 1
            }
        };
        block.used += 1;
        if block.used == BLOCK as u32 {
            self.roomy.pop();
        }
        id
    }

    /// Notes that a node is free.
    fn release(&mut self, id: u32) {
        let number = id / BLOCK as u32;
        let Some(block) = self.blocks.get_mut(number as usize) else { return };
        if let Some(node) = block.nodes.get_mut(id as usize % BLOCK) {
            node.behind = block.free;
        }
        block.free = id;
        block.used -= 1;
        let next = self.roomy.last().copied();
        if block.used + 1 == BLOCK as u32 {
            self.roomy.push(number);
            if let Some(next) = next {
                self.free_unused(next);
            }
        } else if next != Some(number) {
            self.free_unused(number);
        }
    }

    /// Frees a block if nothing is in it.
    fn free_unused(&mut self, number: u32) {
        if let Some(block) = self.blocks.get_mut(number as usize)
            && block.used == 0
        {
            (block.nodes, block.free) = (Vec::new(), NONE);
        }
    }
}

/// Values at small numbers that stay the same, threaded on queues. All operations are O(1).
#[derive(Debug)]
pub(super) struct Lru<T> {
    nodes: Nodes<T>,
    len: usize,
    queues: [Ends; 4],
}

impl<T> Lru<T> {
    /// Memory of one value.
    pub(super) const NODE: usize = size_of::<Node<T>>();

    pub(super) fn new() -> Self {
        Self {
            nodes: Nodes { blocks: Vec::new(), roomy: Vec::new() },
            len: 0,
            queues: [Ends { front: NONE, back: NONE }; 4],
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
        (0..).step_by(BLOCK).zip(&self.nodes.blocks).flat_map(|(first, block)| {
            (first..).zip(&block.nodes).filter_map(|(id, node)| Some((id, node.value.as_ref()?)))
        })
    }

    /// All values.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let nodes = self.nodes.blocks.iter_mut().flat_map(|block| &mut block.nodes);
        nodes.filter_map(|node| node.value.as_mut())
    }

    /// Puts a value at the back of a queue and says its number.
    pub(super) fn insert(&mut self, value: T, queue: Queue) -> u32 {
        let node = Node { value: Some(value), queue, before: NONE, behind: NONE };
        let id = self.nodes.push(node);
        self.len += 1;
        self.link(id, queue);
        id
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let value = self.nodes.get_mut(id)?.value.take()?;
        self.unlink(id);
        self.nodes.release(id);
        self.len -= 1;
        Some(value)
    }

    /// Drops a value where it stands.
    pub(super) fn discard(&mut self, id: u32) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.value.is_none() {
            return;
        }
        node.value = None;
        self.unlink(id);
        self.nodes.release(id);
        self.len -= 1;
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

    #[test]
    fn blocks_without_values_are_freed() {
        let mut lru = Lru::new();
        let ids: Vec<u32> = (0..3 * BLOCK as u16).map(|value| lru.insert(value, Queue::Open)).collect();
        let allocated =
            |lru: &Lru<u16>| lru.nodes.blocks.iter().filter(|block| block.nodes.capacity() > 0).count();
        assert_eq!(allocated(&lru), 3);
        for id in &ids[..2 * BLOCK] {
            lru.remove(*id);
        }
        // One stays for the next value.
        assert_eq!((allocated(&lru), lru.len()), (2, BLOCK));
        let again: Vec<u32> = (0..2 * BLOCK as u16).map(|value| lru.insert(value, Queue::Open)).collect();
        assert_eq!((allocated(&lru), lru.nodes.blocks.len()), (3, 3));
        assert!(again.iter().all(|id| ids[..2 * BLOCK].contains(id)));
        let found: Vec<(u32, u16)> = lru.iter().map(|(id, value)| (id, *value)).collect();
        assert!(found.iter().all(|(id, value)| lru.get(*id) == Some(value)));
        assert_eq!(found.len(), 3 * BLOCK);
    }

    proptest! {
            #[test]
            fn queues_are_those_of_a_plain_model(steps in prop::collection::vec((0u8..4, any::<u16>()), 0..200)) {
                const QUEUES: [Queue; 4] = [Queue::Open, Queue::Shrunk, Queue::Datagrams, Queue::Lingering];
                let mut lru = Lru::new();
                let mut model: [VecDeque<(u32, u16)>; 4] = Default::default();
                for (step, value) in steps {
                    let queue = usize::from(value) % 4;
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
