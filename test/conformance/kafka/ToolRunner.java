/*
 * Runs Kafka's command-line tools one after the other in one JVM: starting one takes a second or two, the tools themselves far
 * less. A request is one line, the main class and its arguments with U+0001 between them; the answer is a line with the exit code
 * and the sizes of what went to standard output and standard error, and then these.
 */
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.utils.Exit;

class ToolRunner {
    /** In the place of the end of the JVM. Tools that catch everything print it: it has nothing to say. */
    private static final class Ended extends RuntimeException {
        Ended() {
            super("", null, false, false);
        }

        @Override
        public void printStackTrace(PrintStream stream) {
        }

        @Override
        public void printStackTrace(PrintWriter writer) {
        }
    }

    /** Scala keeps the stream that it found first, so that there is one for all runs. */
    private static final class Switched extends OutputStream {
        volatile ByteArrayOutputStream current = new ByteArrayOutputStream();

        @Override
        public void write(int octet) {
            current.write(octet);
        }

        @Override
        public void write(byte[] octets, int from, int count) {
            current.write(octets, from, count);
        }
    }

    private static volatile Integer exitCode;

    public static void main(String[] unused) throws Exception {
        PrintStream answers = System.out;
        Switched out = new Switched();
        Switched err = new Switched();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure((code, message) -> end(code));
        Exit.setHaltProcedure((code, message) -> end(code));
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            out.current = new ByteArrayOutputStream();
            err.current = new ByteArrayOutputStream();
            exitCode = null;
            run(line.split("\u0001", -1));
            byte[] written = out.current.toByteArray();
            byte[] complained = err.current.toByteArray();
            int code = exitCode == null ? 0 : exitCode;
            answers.print(code + " " + written.length + " " + complained.length + "\n");
            answers.write(written);
            answers.write(complained);
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void end(int code) {
        // A tool that catches everything ends once more, with another code.
        if (exitCode == null) exitCode = code;
        throw new Ended();
    }

    private static void run(String[] words) throws Exception {
        String[] args = new String[words.length - 1];
        System.arraycopy(words, 1, args, 0, args.length);
        try {
            Class.forName(words[0]).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException failure) {
            if (failure.getCause() instanceof Ended) return;
            failure.getCause().printStackTrace();
            if (exitCode == null) exitCode = 1;
        }
    }
}
