//! The store's face: the devices, their keys and codes.

use super::Store;
use crate::activity::{self, Activity};
use crate::enroll::EnrollCode;
use crate::error::{Error, Result};
use crate::types::*;
use crate::views::*;

impl Store {
    /// Which device has this key (its SHA-256)? Lock-free.
    pub fn device_by_key(&self, key_hash: &[u8; 32]) -> Option<DeviceId> {
        self.shared.registry.by_key(key_hash)
    }

    /// How often a device is judged to report, milliseconds; `None` when there is no such device.
    pub fn interval_ms(&self, device: DeviceId) -> Option<u32> {
        self.shared.registry.interval_ms(device)
    }

    /// Says that somebody looks at this device until `until`; see [`Store::is_watched`].
    pub fn watch(&self, device: DeviceId, until: Timestamp) {
        self.shared.registry.watch(device, until);
    }

    /// Does somebody look at this device right now?
    pub fn is_watched(&self, device: DeviceId, now: Timestamp) -> bool {
        self.shared.registry.is_watched(device, now)
    }

    /// All devices, by number.
    pub fn devices(&self) -> Vec<DeviceView> {
        self.shared.registry.views(&self.shared.dictionary)
    }

    /// The devices with a tag, by number.
    pub fn tagged(&self, tag: &str) -> Vec<DeviceId> {
        self.shared.registry.tagged(tag)
    }

    /// One device.
    pub fn device(&self, id: DeviceId) -> Option<DeviceView> {
        self.shared.registry.view(id, &self.shared.dictionary)
    }

    /// The last day's availability and the last hour of [`crate::SPARK_METRIC`] of all devices, by number.
    ///
    /// # Errors
    /// Database errors.
    pub fn activity(&self, now: Timestamp) -> Result<Vec<Activity>> {
        activity::activity(&self.shared, now)
    }

    /// Adds a device.
    ///
    /// # Errors
    /// `Conflict` when the name is taken.
    pub fn add_device(&self, profile: DeviceProfile, key_hash: [u8; 32], now: Timestamp) -> Result<DeviceId> {
        let record = self.shared.meta.add_device(&profile, &key_hash, now)?;
        let id = record.id;
        let name = record.profile.name.clone();
        self.shared.registry.put(record);
        self.remember(id, now, "device_added", serde_json::json!({ "name": name }))?;
        Ok(id)
    }

    /// Makes a one-time code, kept as the SHA-256 of what [`crate::plain_enroll_code`] makes of it. With an empty name the
    /// device brings its own.
    ///
    /// # Errors
    /// `Conflict` when [`crate::ENROLL_CODES_MAX`] codes can be used already.
    pub fn add_enroll_code(
        &self,
        code_hash: [u8; 32],
        profile: DeviceProfile,
        now: Timestamp,
    ) -> Result<EnrollCode> {
        self.shared.meta.add_enroll_code(&code_hash, &profile, now)
    }

    /// The codes of the last hours, newest first.
    ///
    /// # Errors
    /// Database errors.
    pub fn enroll_codes(&self) -> Result<Vec<EnrollCode>> {
        self.shared.meta.enroll_codes()
    }

    /// Withdraws a code.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete_enroll_code(&self, id: i64) -> Result<()> {
        self.shared.meta.delete_enroll_code(id)
    }

    /// Uses a code up for a new device with this key; `None`: there is no such code, or it is of no use any more. A number
    /// is added to a name that is taken.
    ///
    /// # Errors
    /// Database errors.
    pub fn enroll(
        &self,
        code_hash: [u8; 32],
        name: &str,
        key_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<DeviceId>> {
        let Some(record) = self.shared.meta.enroll(&code_hash, name, &key_hash, now)? else {
            return Ok(None);
        };
        let (id, name) = (record.id, record.profile.name.clone());
        self.shared.registry.put(record);
        self.remember(id, now, "device_added", serde_json::json!({ "name": name, "enrolled": true }))?;
        Ok(Some(id))
    }

    /// Changes what the user says of a device.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when the name is taken.
    pub fn edit_device(&self, id: DeviceId, profile: DeviceProfile) -> Result<()> {
        let mut record = self.shared.registry.record(id).ok_or(Error::NotFound { what: "device" })?;
        self.shared.meta.edit_device(id, &profile, &record.key_hash)?;
        record.profile = profile;
        self.shared.registry.put(record);
        self.shared.notify();
        Ok(())
    }

    /// Gives a device a new key; the old one stops at once.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn rotate_key(&self, id: DeviceId, key_hash: [u8; 32], now: Timestamp) -> Result<()> {
        let mut record = self.shared.registry.record(id).ok_or(Error::NotFound { what: "device" })?;
        self.shared.meta.edit_device(id, &record.profile, &key_hash)?;
        record.key_hash = key_hash;
        self.shared.registry.put(record);
        self.remember(id, now, "key_rotated", serde_json::json!({}))
    }

    /// Deletes a device and all that is kept of it. When this returns, nothing finds it any more; its bytes are gone from the
    /// files then or, what was not sealed yet, soon after. Names of its metrics stay in the dictionary.
    ///
    /// # Errors
    /// `NotFound`. Database errors; unless it was the first step that failed, the device is gone all the same, and what
    /// is left of it goes when the folder is opened again.
    pub fn delete_device(&self, id: DeviceId) -> Result<Deleted> {
        if !self.shared.registry.exists(id) {
            return Err(Error::NotFound { what: "device" });
        }
        // A mark before anything goes: a deletion that is cut short is finished at the next start.
        self.shared.meta.begin_deletion(id)?;
        // Then out of the registry: from here on nothing of it is taken in, sealed or recorded.
        if !self.shared.registry.remove(id) {
            return Err(Error::NotFound { what: "device" });
        }
        self.shared.head.forget(id);
        // The writer closes the generation for it, so that the tail soon forgets it as well.
        self.shared.note_deleted(id);
        self.shared.forget_live_logs(id);
        self.shared.notify();
        let deleted = self.shared.delete_kept(id)?;
        if let Err(error) = self.shared.scrub() {
            // It is deleted, and maintenance tries again.
            tracing::warn!("the files could not be scrubbed, will be tried again: {error}");
        }
        Ok(deleted)
    }
}
