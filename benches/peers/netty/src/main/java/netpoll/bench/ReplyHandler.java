package netpoll.bench;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;

/** Answers each request on the event loop; the replies to what was read together are flushed together. */
final class ReplyHandler extends ChannelInboundHandlerAdapter {
    private static final int LENGTH_SIZE = 4;
    private static final int WORD = 4;

    private final int rounds;

    ReplyHandler(int rounds) {
        this.rounds = rounds;
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf request = (ByteBuf) message;
        try {
            int size = request.readableBytes();
            ByteBuf reply = context.alloc().ioBuffer(LENGTH_SIZE + size);
            reply.writeInt(size);
            reply.writeInt(~request.readInt());
            reply.writeBytes(request, size - WORD);
            if (rounds > 0) {
                compute();
            }
            context.write(reply, context.voidPromise());
        } finally {
            request.release();
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        context.flush();
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        context.close();
    }

    /** Keeps the processor busy, and cannot be left out. */
    private void compute() {
        int state = 1;
        for (int round = 0; round < rounds; round++) {
            state ^= state << 13;
            state ^= state >>> 17;
            state ^= state << 5;
        }
        if (state == 0) {
            throw new IllegalStateException("xorshift never comes to 0");
        }
    }
}
