//! What the shell knows of instances beyond the engine, each in the place of its id: found without a hash, and no larger
//! than what is known.

use crate::engine::id::InstanceId;

/// Values by instance. A place is let again only after its last tenant was forgotten everywhere.
#[derive(Debug)]
pub(super) struct Beside<T>(Vec<Option<Tenant<T>>>);

#[derive(Debug)]
struct Tenant<T> {
    generation: u32,
    value: T,
}

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Beside(Vec::new())
    }
}

impl<T> Beside<T> {
    #[inline]
    pub(super) fn get(&self, id: InstanceId) -> Option<&T> {
        let tenant = self.0.get(id.0.slot as usize)?.as_ref()?;
        (tenant.generation == id.0.generation).then_some(&tenant.value)
    }

    pub(super) fn get_mut(&mut self, id: InstanceId) -> Option<&mut T> {
        let tenant = self.0.get_mut(id.0.slot as usize)?.as_mut()?;
        (tenant.generation == id.0.generation).then_some(&mut tenant.value)
    }

    pub(super) fn insert(&mut self, id: InstanceId, value: T) -> &mut T {
        let place = id.0.slot as usize;
        if place >= self.0.len() {
            self.0.resize_with(place + 1, || None);
        }
        &mut self.0[place].insert(Tenant { generation: id.0.generation, value }).value
    }

    pub(super) fn remove(&mut self, id: InstanceId) -> Option<T> {
        let place = self.0.get_mut(id.0.slot as usize)?;
        place.take_if(|tenant| tenant.generation == id.0.generation).map(|tenant| tenant.value)
    }

    /// What is known of an instance, from now on if nothing was.
    pub(super) fn entry(&mut self, id: InstanceId) -> &mut T
    where
        T: Default,
    {
        if self.get(id).is_none() {
            return self.insert(id, T::default());
        }
        self.get_mut(id).expect("it was just found")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::Key;

    fn id(slot: u32, generation: u32) -> InstanceId {
        InstanceId(Key { slot, generation })
    }

    #[test]
    fn each_finds_its_own_and_nobody_elses() {
        let mut table = Beside::default();
        table.insert(id(3, 0), 'a');
        *table.entry(id(1, 7)) = 'b';
        assert_eq!((table.get(id(3, 0)), table.get(id(1, 7))), (Some(&'a'), Some(&'b')));
        for stranger in [id(3, 1), id(1, 0), id(0, 0), id(99, 0)] {
            assert_eq!(table.get(stranger), None);
            assert_eq!(table.get_mut(stranger), None);
            assert_eq!(table.remove(stranger), None);
        }
        assert_eq!((table.remove(id(3, 0)), table.get(id(3, 0))), (Some('a'), None));
    }

    #[test]
    fn who_moves_in_finds_nothing_of_who_was_there() {
        let mut table: Beside<u32> = Beside::default();
        *table.entry(id(0, 0)) += 5;
        *table.entry(id(0, 0)) += 1;
        assert_eq!(table.get(id(0, 0)), Some(&6));
        *table.entry(id(0, 1)) += 2;
        assert_eq!((table.get(id(0, 0)), table.get(id(0, 1))), (None, Some(&2)));
    }
}
