package netpoll.bench;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.SocketAddress;

/**
 * The benchmark's server on Netty: native epoll where there is such, one event loop for each core.
 *
 * <p>{@code Server --tcp HOST:PORT | --unix PATH [--work N]} prints {@code listening ADDRESS}, collects
 * garbage when told {@code gc}, and ends with its standard input.
 */
public final class Server {
    private static final int LENGTH_SIZE = 4;
    private static final int LONGEST = 64 << 20;

    private Server() {}

    public static void main(String[] words) throws Exception {
        int rounds = words.length == 4 && words[2].equals("--work") ? Integer.parseInt(words[3]) : 0;
        boolean unix = words[0].equals("--unix");
        EventLoopGroup loops = new MultiThreadIoEventLoopGroup(
                Runtime.getRuntime().availableProcessors(), ioHandlers());
        Channel listener = new ServerBootstrap()
                .group(loops)
                .channel(channelType(unix))
                .childHandler(new ChannelInitializer<Channel>() {
                    @Override
                    protected void initChannel(Channel channel) {
                        channel.pipeline().addLast(
                                new LengthFieldBasedFrameDecoder(LONGEST, 0, LENGTH_SIZE, 0, LENGTH_SIZE),
                                new ReplyHandler(rounds));
                    }
                })
                .bind(unix ? new DomainSocketAddress(words[1]) : tcpAddress(words[1]))
                .sync()
                .channel();
        announce(listener.localAddress());
        obeyStandardInput();
    }

    private static IoHandlerFactory ioHandlers() {
        return Epoll.isAvailable() ? EpollIoHandler.newFactory() : NioIoHandler.newFactory();
    }

    private static Class<? extends ServerChannel> channelType(boolean unix) {
        if (unix) {
            return EpollServerDomainSocketChannel.class;
        }
        return Epoll.isAvailable() ? EpollServerSocketChannel.class : NioServerSocketChannel.class;
    }

    private static SocketAddress tcpAddress(String text) {
        int colon = text.lastIndexOf(':');
        return new InetSocketAddress(text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
    }

    private static void announce(SocketAddress address) {
        String text = address instanceof InetSocketAddress tcp
                ? tcp.getAddress().getHostAddress() + ":" + tcp.getPort()
                : ((DomainSocketAddress) address).path();
        System.out.println("listening " + text);
    }

    private static void obeyStandardInput() throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.equals("gc")) {
                System.gc();
                System.out.println("memory {}");
            }
        }
        System.exit(0);
    }
}
