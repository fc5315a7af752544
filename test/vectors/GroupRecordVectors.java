/*
 * Made group-records.json: records of consumer groups (KIP-848) as Kafka 4.3.1 writes them into __consumer_offsets.
 *
 *   java -cp 'JARS/*' test/vectors/GroupRecordVectors.java > test/vectors/group-records.json
 */
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordHelpers;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupCurrentMemberAssignmentValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupPartitionMetadataKey;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupPartitionMetadataValue;
import org.apache.kafka.coordinator.group.modern.MemberState;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroupMember;
import org.apache.kafka.coordinator.group.modern.consumer.ResolvedRegularExpression;
import org.apache.kafka.server.common.ApiMessageAndVersion;

class GroupRecordVectors {
    private static final GroupCoordinatorRecordSerde serde = new GroupCoordinatorRecordSerde();
    private static final Uuid one = Uuid.fromString("AAECAwQFBgcICQoLDA0ODw");
    private static final Uuid two = Uuid.fromString("8PHy8_T19vf4-fr7_P3-_w");
    private static final List<String> lines = new ArrayList<>();

    public static void main(String[] args) {
        add("group", GroupCoordinatorRecordHelpers.newConsumerGroupEpochRecord("g", 7, 1234567890123L));
        add("group with a hash of 64 bits", GroupCoordinatorRecordHelpers.newConsumerGroupEpochRecord("g", 8, 0xF123456789ABCDEFL));
        add("group gone", GroupCoordinatorRecordHelpers.newConsumerGroupEpochTombstoneRecord("g"));
        add("member by names", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord("g", plain().build()));
        add("member by a pattern", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord("g", plain()
            .setInstanceId("i").setRackId("r").setSubscribedTopicNames(List.of()).setSubscribedTopicRegex("^t.*")
            .setServerAssignorName("range").build()));
        add("member of the classic protocol", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionRecord("g", plain()
            .setClassicMemberMetadata(new ConsumerGroupMemberMetadataValue.ClassicMemberMetadata()
                .setSessionTimeoutMs(45_000)
                .setSupportedProtocols(List.of(protocol("range", 1, 2, 3), protocol("cooperative-sticky")))).build()));
        add("member gone", GroupCoordinatorRecordHelpers.newConsumerGroupMemberSubscriptionTombstoneRecord("g", "m"));
        add("target metadata", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentMetadataRecord("g", 7, 1_700_000_000_000L));
        add("target metadata gone", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentMetadataTombstoneRecord("g"));
        add("target", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentRecord("g", "m", assignment()));
        add("target of nothing", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentRecord("g", "m", Map.of()));
        add("target gone", GroupCoordinatorRecordHelpers.newConsumerGroupTargetAssignmentTombstoneRecord("g", "m"));
        add("current, stable, with assignment epochs", GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentRecord("g",
            plain().setMemberEpoch(7).setPreviousMemberEpoch(6).setState(MemberState.STABLE)
                .setAssignedPartitions(withEpochs()).build()));
        for (MemberState state : new MemberState[] {MemberState.STABLE, MemberState.UNREVOKED_PARTITIONS, MemberState.UNRELEASED_PARTITIONS}) {
            add("current, " + state.name().toLowerCase(), current(state));
        }
        add("current gone", GroupCoordinatorRecordHelpers.newConsumerGroupCurrentAssignmentTombstoneRecord("g", "m"));
        add("pattern", GroupCoordinatorRecordHelpers.newConsumerGroupRegularExpressionRecord("g", "^t.*",
            new ResolvedRegularExpression(new LinkedHashSet<>(List.of("t1", "t2")), 0, 1_700_000_000_001L)));
        add("pattern gone", GroupCoordinatorRecordHelpers.newConsumerGroupRegularExpressionTombstone("g", "^t.*"));
        add("partition metadata of Kafka 3.7 to 4.0", CoordinatorRecord.record(
            new ConsumerGroupPartitionMetadataKey().setGroupId("g"),
            new ApiMessageAndVersion(new ConsumerGroupPartitionMetadataValue().setTopics(List.of(
                new ConsumerGroupPartitionMetadataValue.TopicMetadata().setTopicId(one).setTopicName("t").setNumPartitions(3))), (short) 0)));
        System.out.println("[\n" + String.join(",\n", lines) + "\n]");
    }

    private static ConsumerGroupMember.Builder plain() {
        return new ConsumerGroupMember.Builder("m").setClientId("c").setClientHost("/127.0.0.1").setRebalanceTimeoutMs(300_000)
            .setSubscribedTopicNames(List.of("t1", "t2")).setSubscribedTopicRegex("");
    }

    private static ConsumerGroupMemberMetadataValue.ClassicProtocol protocol(String name, int... metadata) {
        byte[] bytes = new byte[metadata.length];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) metadata[i];
        return new ConsumerGroupMemberMetadataValue.ClassicProtocol().setName(name).setMetadata(bytes);
    }

    private static Map<Uuid, Set<Integer>> assignment() {
        Map<Uuid, Set<Integer>> assignment = new LinkedHashMap<>();
        assignment.put(one, new LinkedHashSet<>(List.of(0, 2)));
        assignment.put(two, new LinkedHashSet<>(List.of(1)));
        return assignment;
    }

    private static Map<Uuid, Map<Integer, Integer>> withEpochs() {
        Map<Integer, Integer> partitions = new LinkedHashMap<>();
        partitions.put(0, 5);
        partitions.put(2, 7);
        return Map.of(one, partitions);
    }

    /** As Kafka before 4.3 writes it, and Kappalog. */
    private static CoordinatorRecord current(MemberState state) {
        return CoordinatorRecord.record(
            new ConsumerGroupCurrentMemberAssignmentKey().setGroupId("g").setMemberId("m"),
            new ApiMessageAndVersion(new ConsumerGroupCurrentMemberAssignmentValue()
                .setMemberEpoch(7).setPreviousMemberEpoch(6).setState(state.value())
                .setAssignedPartitions(List.of(partitions(one, 0, 2)))
                .setPartitionsPendingRevocation(state == MemberState.UNREVOKED_PARTITIONS ? List.of(partitions(two, 1)) : List.of()), (short) 0));
    }

    private static ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions partitions(Uuid topicId, Integer... numbers) {
        return new ConsumerGroupCurrentMemberAssignmentValue.TopicPartitions().setTopicId(topicId).setPartitions(List.of(numbers));
    }

    private static void add(String name, CoordinatorRecord record) {
        byte[] value = serde.serializeValue(record);
        lines.add(String.format("  { \"name\": \"%s\", \"key\": \"%s\", \"value\": %s }", name,
            HexFormat.of().formatHex(serde.serializeKey(record)),
            value == null ? "null" : "\"" + HexFormat.of().formatHex(value) + "\""));
    }
}
