//! How messages travel: as prost writes them. Written into memory of the thread's own first, since prost writes field by field, byte by
//! byte where numbers are concerned, and the buffer of the transport looks at its room each time.

use std::cell::RefCell;
use std::marker::PhantomData;

use prost::Message;
use prost::bytes::BufMut;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;

/// A message that is longer is written straight into the transport's buffer, so that no thread keeps much memory for long.
const LONG: usize = 64 << 10;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The codec of all services and clients here.
#[derive(Debug, Clone)]
pub struct SteadyCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for SteadyCodec<T, U> {
    fn default() -> Self {
        SteadyCodec(PhantomData)
    }
}

impl<T, U> Codec for SteadyCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SteadyEncoder<T>;
    type Decoder = <ProstCodec<T, U> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        SteadyEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::default())
    }
}

/// The writing half of [`SteadyCodec`].
#[derive(Debug, Clone)]
pub struct SteadyEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for SteadyEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let length = message.encoded_len();
        if length > LONG {
            message.encode_raw(buf);
            return Ok(());
        }
        ROOM.with_borrow_mut(|room| {
            if room.len() < length {
                room.resize(length, 0);
            }
            let written = &mut room[..length];
            message.encode_raw(&mut &mut *written);
            buf.put_slice(written);
        });
        Ok(())
    }
}
