/*
 * The Java client as a member of a group: one end of the line protocol that ../groups/line-protocol.ts describes.
 *
 *   java -cp ... GroupMember CONFIG
 */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.serialization.StringDeserializer;

final class GroupMember implements ConsumerRebalanceListener {
    private static final ObjectMapper json = new ObjectMapper();
    private static final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    private static final Map<String, String> assignors = Map.of(
        "range", "org.apache.kafka.clients.consumer.RangeAssignor",
        "roundrobin", "org.apache.kafka.clients.consumer.RoundRobinAssignor",
        "sticky", "org.apache.kafka.clients.consumer.StickyAssignor",
        "cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");

    private final JsonNode config;
    private final KafkaConsumer<String, String> consumer;
    private volatile String command;

    private GroupMember(JsonNode config) {
        this.config = config;
        this.consumer = new KafkaConsumer<>(properties(config), new StringDeserializer(), new StringDeserializer());
    }

    public static void main(String[] args) throws Exception {
        GroupMember member = new GroupMember(json.readTree(args[0]));
        Thread listening = new Thread(member::hearCommands);
        listening.setDaemon(true);
        listening.start();
        try {
            member.run();
            System.exit(0);
        } catch (RuntimeException error) {
            error.printStackTrace();
            emit("failed", Map.of("error", error.toString()));
            System.exit(1);
        }
    }

    private static Map<String, Object> properties(JsonNode config) {
        Map<String, Object> properties = new HashMap<>();
        String protocol = config.get("protocol").asText();
        String assignor = config.get("assignor").asText();
        properties.put("bootstrap.servers", config.get("brokers").asText());
        properties.put("client.id", config.get("clientId").asText());
        properties.put("group.id", config.get("groupId").asText());
        properties.put("group.protocol", protocol);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", false);
        properties.put("fetch.max.wait.ms", 100);
        properties.put("max.poll.records", 20);
        properties.put("metadata.max.age.ms", 2000);
        properties.put("max.poll.interval.ms", config.get("rebalanceTimeoutMs").asInt());
        if (!config.get("instanceId").isNull()) properties.put("group.instance.id", config.get("instanceId").asText());
        if (protocol.equals("consumer")) {
            properties.put("group.remote.assignor", assignor);
        } else {
            properties.put("partition.assignment.strategy", assignors.get(assignor));
            properties.put("session.timeout.ms", config.get("sessionTimeoutMs").asInt());
            properties.put("heartbeat.interval.ms", config.get("heartbeatIntervalMs").asInt());
        }
        return properties;
    }

    private void run() {
        subscribe();
        while (command == null) {
            ConsumerRecords<String, String> records = poll();
            for (TopicPartition partition : records.partitions()) take(partition, records.records(partition));
        }
        consumer.close(CloseOptions.groupMembershipOperation(command.equals("leave")
            ? CloseOptions.GroupMembershipOperation.LEAVE_GROUP
            : CloseOptions.GroupMembershipOperation.DEFAULT));
        emit("left", Map.of());
    }

    /** A member that an administrator has taken out joins anew; that a request of it was under way just then its user is told. */
    private ConsumerRecords<String, String> poll() {
        try {
            return consumer.poll(Duration.ofMillis(50));
        } catch (UnknownMemberIdException error) {
            error.printStackTrace();
            return ConsumerRecords.empty();
        }
    }

    private void subscribe() {
        if (config.get("pattern").isNull()) {
            List<String> topics = new ArrayList<>();
            config.get("topics").forEach(topic -> topics.add(topic.asText()));
            consumer.subscribe(topics, this);
        } else if (config.get("protocol").asText().equals("consumer")) {
            consumer.subscribe(new SubscriptionPattern(config.get("pattern").asText()), this);
        } else {
            consumer.subscribe(Pattern.compile(config.get("pattern").asText()), this);
        }
    }

    private void take(TopicPartition partition, List<ConsumerRecord<String, String>> records) {
        for (ConsumerRecord<String, String> record : records) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("topic", record.topic());
            fields.put("partition", record.partition());
            fields.put("offset", record.offset());
            fields.put("value", record.value());
            emit("record", fields);
        }
        long next = records.get(records.size() - 1).offset() + 1;
        Map<String, Object> told = Map.of("offsets", Map.of(partition.topic(), Map.of(String.valueOf(partition.partition()), next)));
        emit("commit", told);
        try {
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(next)));
            emit("committed", told);
        } catch (KafkaException error) {
            Map<String, Object> fields = new LinkedHashMap<>(told);
            fields.put("error", error.toString());
            emit("commit-failed", fields);
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        tellOwned(List.of());
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        tellOwned(partitions);
    }

    private void tellOwned(Collection<TopicPartition> without) {
        Set<TopicPartition> owned = consumer.assignment();
        Map<String, Set<Integer>> byTopic = new TreeMap<>();
        for (TopicPartition partition : owned) {
            if (without.contains(partition)) continue;
            byTopic.computeIfAbsent(partition.topic(), name -> new TreeSet<>()).add(partition.partition());
        }
        emit("owns", Map.of("partitions", byTopic));
    }

    /** The end of the input means that the harness is gone. */
    private void hearCommands() {
        try {
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                command = json.readTree(line).get("command").asText();
            }
        } catch (java.io.IOException error) {
            error.printStackTrace();
        }
        Runtime.getRuntime().halt(2);
    }

    private static void emit(String event, Map<String, ?> fields) {
        Map<String, Object> line = new LinkedHashMap<>();
        Instant now = Instant.now();
        line.put("event", event);
        line.put("at", now.getEpochSecond() * 1_000_000 + now.getNano() / 1_000);
        line.putAll(fields);
        try {
            out.println(json.writeValueAsString(line));
        } catch (com.fasterxml.jackson.core.JsonProcessingException error) {
            throw new IllegalStateException(error);
        }
    }
}
