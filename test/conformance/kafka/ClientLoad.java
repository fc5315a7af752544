/*
 * The Java client under load: numbered records to a topic, and a group that reads them, with the client's own defaults. Ends when
 * its standard input does, and prints one line of JSON: what was sent, acknowledged and read, and every error that a callback,
 * a call or a listener was given.
 *
 *   java -cp ... ClientLoad.java BOOTSTRAP TOPIC
 */
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

class ClientLoad {
    private static final List<String> errors = Collections.synchronizedList(new ArrayList<>());
    private static final BitSet read = new BitSet();
    private static volatile boolean isStopping;
    private static volatile boolean hasRead;
    private static int acknowledged;
    private static long lastAckNanos = System.nanoTime();
    private static long longestGapNanos;

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        String topic = args[1];
        Thread consuming = new Thread(() -> consume(bootstrap, topic));
        consuming.start();
        Thread watching = new Thread(ClientLoad::watchInput);
        watching.setDaemon(true);
        watching.start();
        int sent = produce(bootstrap, topic);
        long untilNanos = System.nanoTime() + 60_000_000_000L;
        while (consuming.isAlive() && System.nanoTime() < untilNanos) {
            synchronized (read) {
                if (read.cardinality() == sent) break;
            }
            Thread.sleep(20);
        }
        hasRead = true;
        consuming.join();
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("sent", sent);
        result.put("acknowledged", acknowledged);
        result.put("unread", unread(sent));
        result.put("longestGapMs", longestGapNanos / 1_000_000);
        result.put("errors", errors);
        System.out.println(new ObjectMapper().writeValueAsString(result));
    }

    private static List<Integer> unread(int sent) {
        List<Integer> numbers = new ArrayList<>();
        for (int number = read.nextClearBit(0); number < sent; number = read.nextClearBit(number + 1)) numbers.add(number);
        return numbers;
    }

    private static void watchInput() {
        try {
            while (System.in.read() >= 0) {
            }
        } catch (java.io.IOException end) {
            errors.add("standard input: " + end);
        }
        isStopping = true;
    }

    private static int produce(String bootstrap, String topic) throws InterruptedException {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "client.id", "rolling-java");
        int number = 0;
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (; !isStopping; number++) {
                String value = String.valueOf(number);
                producer.send(new ProducerRecord<>(topic, "key-" + number % 17, value), (metadata, error) -> {
                    if (error == null) acknowledge();
                    else errors.add("send of " + value + ": " + error);
                });
                if (number % 5 == 0) Thread.sleep(10);
            }
            producer.flush();
        } catch (RuntimeException error) {
            errors.add("producer: " + error);
        }
        return number;
    }

    /** Only called by the producer's own thread. */
    private static void acknowledge() {
        acknowledged++;
        long now = System.nanoTime();
        if (acknowledged > 1) longestGapNanos = Math.max(longestGapNanos, now - lastAckNanos);
        lastAckNanos = now;
    }

    private static void consume(String bootstrap, String topic) {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", bootstrap,
            "group.id", topic,
            "client.id", "rolling-java",
            "auto.offset.reset", "earliest");
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (!hasRead) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    synchronized (read) {
                        read.set(Integer.parseInt(record.value()));
                    }
                }
            }
        } catch (RuntimeException error) {
            errors.add("consumer: " + error);
        }
    }
}
