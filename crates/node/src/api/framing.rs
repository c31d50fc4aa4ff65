//! Framing as JavaScript describes it. JavaScript has checked the forms already, to give errors that
//! name the option; what is wrong all the same is refused here.

use napi_derive::napi;
use netpoll_core::frame::{Delimiter, Endian, Framing, IdField, LengthField, Varint};

/// A framing: `kind` says which of the other members count.
#[napi(object)]
pub struct FramingOptions {
    /// `'stream'`, `'lengthField'`, `'delimiter'` or `'varint'`.
    pub kind: String,
    /// Largest message in bytes.
    pub max_length: f64,
    /// Length field: bytes before it.
    pub offset: u32,
    /// Length field: its bytes.
    pub size: u32,
    /// Length field: added to its value.
    pub adjustment: f64,
    /// Length field: bytes left out at the front of a message.
    pub strip: u32,
    /// Length field: least significant byte first.
    pub little_endian: bool,
    /// Delimiter: its bytes.
    pub delimiter: Vec<u8>,
}

impl FramingOptions {
    /// The core's framing.
    ///
    /// # Errors
    /// When no framing is described.
    pub fn parse(&self) -> napi::Result<Framing> {
        let max_length = self.max_length as usize;
        let refused = || napi::Error::from_reason("not a framing");
        Ok(match self.kind.as_str() {
            "stream" => Framing::Stream,
            "varint" => Framing::Varint(Varint::new(max_length)),
            "delimiter" => {
                let delimiter = Delimiter::new(&self.delimiter, max_length);
                Framing::Delimiter(delimiter.ok_or_else(refused)?)
            }
            "lengthField" => {
                let framing = LengthField::new(
                    self.offset as usize,
                    self.size as usize,
                    self.adjustment as i64,
                    self.strip as usize,
                    endian(self.little_endian),
                    max_length,
                );
                Framing::LengthField(framing.map_err(|_| refused())?)
            }
            _ => return Err(refused()),
        })
    }
}

/// Where messages carry their ids.
#[napi(object)]
pub struct IdFieldOptions {
    /// Bytes of the message before it.
    pub offset: u32,
    /// Its bytes: 1, 2, 4 or 8.
    pub size: u32,
    /// Least significant byte first.
    pub little_endian: bool,
}

impl IdFieldOptions {
    /// The core's field.
    ///
    /// # Errors
    /// When there is none of that size.
    pub fn parse(&self) -> napi::Result<IdField> {
        let field = IdField::new(
            self.offset as usize,
            self.size as usize,
            endian(self.little_endian),
        );
        field.ok_or_else(|| napi::Error::from_reason("not an id field"))
    }
}

fn endian(little: bool) -> Endian {
    if little { Endian::Little } else { Endian::Big }
}
