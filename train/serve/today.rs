//! A chat template that knows what day it is, however long the server runs.

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use data::template::{ChatTemplate, TemplateError};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The template of a model, as of the present day.
pub struct Today {
    template: ChatTemplate,
    made: Mutex<Option<(u64, ChatTemplate)>>,
}

impl Today {
    /// Of `template`, whatever day it was made for.
    pub fn new(template: ChatTemplate) -> Self {
        Today {
            template,
            made: Mutex::new(None),
        }
    }

    /// The template on the day of `now`.
    ///
    /// # Errors
    ///
    /// When the template is broken.
    pub fn template(&self, now: SystemTime) -> Result<ChatTemplate, TemplateError> {
        let day = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() / DAY);
        let mut made = self
            .made
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, template)) = made.as_ref().filter(|(of, _)| *of == day) {
            return Ok(template.clone());
        }
        let template = self.template.at(now)?;
        *made = Some((day, template.clone()));
        Ok(template)
    }
}
