import jakarta.jms.BytesMessage;
import jakarta.jms.Connection;
import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.InvalidClientIDException;
import jakarta.jms.JMSException;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TemporaryTopic;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.qpid.jms.JmsConnectionFactory;

/** Qpid JMS (Jakarta): cases over AMQP 1.0, by TCP and WebSocket. Arguments: NAME URL, and so on. */
public final class QpidJms {
    private static final long WAIT_MS = 10_000;
    private static final long QUIET_MS = 300;

    private final String url;
    private final String run = UUID.randomUUID().toString().substring(0, 8);

    private QpidJms(String url) {
        this.url = url;
    }

    private interface Case {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            for (Map.Entry<String, Case> entry : new QpidJms(arguments[i + 1]).cases().entrySet()) {
                check(arguments[i] + ": " + entry.getKey(), entry.getValue());
            }
        }
        System.exit(0); // a connection that a failed case left open must not hold the driver
    }

    private Map<String, Case> cases() {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.put("headers and properties come back", this::keepsHeaders);
        cases.put("every kind of message keeps its kind", this::keepsKinds);
        cases.put("1,000 messages reach a listener in order", this::keepsOrder);
        cases.put("receiveNoWait takes what is there", this::drains);
        cases.put("a browser leaves the messages", this::browses);
        cases.put("recover delivers again", this::recovers);
        cases.put("a temporary destination ends with its owner", this::temporaryDestinationsEnd);
        cases.put("a topic, and no-local", this::subscribes);
        cases.put("a durable subscription lasts until unsubscribe", this::keepsDurableSubscription);
        cases.put("shared subscriptions share", this::sharesSubscriptions);
        cases.put("an expired message is not delivered", this::expires);
        cases.put("a client id is used once", this::refusesSecondClientId);
        cases.put("10 MiB arrive whole", this::carriesLargeMessages);
        cases.put("a login is accepted", this::logsIn);
        return cases;
    }

    private static void check(String name, Case body) {
        try {
            body.run();
            System.out.println("ok qpid_jms: " + name);
        } catch (Exception | AssertionError error) {
            System.out.println("FAIL qpid_jms: " + name + ": " + error.toString().replaceAll("\\s+", " "));
        }
    }

    private Connection connect() throws JMSException {
        return connect(null, "");
    }

    private Connection connect(String clientId, String options) throws JMSException {
        JmsConnectionFactory factory = new JmsConnectionFactory(url + options);
        factory.setRequestTimeout(WAIT_MS);
        factory.setCloseTimeout(WAIT_MS);
        if (clientId != null) {
            factory.setClientID(clientId);
        }
        Connection connection = factory.createConnection();
        connection.start();
        return connection;
    }

    private static Session automatic(Connection connection) throws JMSException {
        return connection.createSession(Session.AUTO_ACKNOWLEDGE);
    }

    private String fresh(String stem) {
        return "jms-" + stem + "-" + run + Integer.toHexString(new Random().nextInt());
    }

    private static void expect(Object wanted, Object seen) {
        if (!Objects.equals(wanted, seen)) {
            throw new AssertionError("wanted " + wanted + ", saw " + seen);
        }
    }

    private static String text(Message message) throws JMSException {
        return message instanceof TextMessage text ? text.getText() : null;
    }

    private void keepsHeaders() throws JMSException {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("headers"));
            TextMessage sent = session.createTextMessage("grüße");
            sent.setJMSType("order");
            sent.setJMSCorrelationID("c-1");
            sent.setJMSReplyTo(session.createTopic("answers"));
            sent.setIntProperty("int", -5);
            sent.setLongProperty("long", 1L << 62);
            sent.setDoubleProperty("double", 1.5);
            sent.setBooleanProperty("yes", true);
            sent.setByteProperty("byte", (byte) -8);
            sent.setStringProperty("text", "ü");
            session.createProducer(queue).send(sent, DeliveryMode.NON_PERSISTENT, 9, 0);
            Message seen = session.createConsumer(queue).receive(WAIT_MS);
            expect("grüße", text(seen));
            expect(sent.getJMSMessageID(), seen.getJMSMessageID());
            expect("order c-1", seen.getJMSType() + " " + seen.getJMSCorrelationID());
            expect(session.createTopic("answers"), seen.getJMSReplyTo());
            expect(queue, seen.getJMSDestination());
            expect(DeliveryMode.NON_PERSISTENT, seen.getJMSDeliveryMode());
            expect(9, seen.getJMSPriority());
            expect(sent.getJMSTimestamp(), seen.getJMSTimestamp());
            expect(false, seen.getJMSRedelivered());
            for (String name : new String[] {"int", "long", "double", "yes", "byte", "text"}) {
                expect(sent.getObjectProperty(name), seen.getObjectProperty(name));
            }
        }
    }

    private void keepsKinds() throws JMSException {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("kinds"));
            MessageProducer producer = session.createProducer(queue);
            BytesMessage bytes = session.createBytesMessage();
            bytes.writeInt(7);
            producer.send(bytes);
            MapMessage map = session.createMapMessage();
            map.setLong("long", 9L);
            producer.send(map);
            StreamMessage stream = session.createStreamMessage();
            stream.writeString("x");
            producer.send(stream);
            producer.send(session.createObjectMessage("object"));
            producer.send(session.createMessage());
            MessageConsumer consumer = session.createConsumer(queue);
            expect(7, ((BytesMessage) consumer.receive(WAIT_MS)).readInt());
            expect(9L, ((MapMessage) consumer.receive(WAIT_MS)).getLong("long"));
            expect("x", ((StreamMessage) consumer.receive(WAIT_MS)).readString());
            expect(true, consumer.receive(WAIT_MS) instanceof ObjectMessage);
            expect(false, consumer.receive(WAIT_MS) == null);
        }
    }

    private void keepsOrder() throws Exception {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("order"));
            LinkedBlockingQueue<Message> inbox = new LinkedBlockingQueue<>();
            automatic(connection).createConsumer(queue).setMessageListener(inbox::add);
            MessageProducer producer = session.createProducer(queue);
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            for (int i = 0; i < 1000; i++) {
                producer.send(session.createTextMessage("" + i));
            }
            for (int i = 0; i < 1000; i++) {
                expect("" + i, text(inbox.poll(WAIT_MS, TimeUnit.MILLISECONDS)));
            }
        }
    }

    /** Without prefetch the client gives one credit and drains it. */
    private void drains() throws JMSException {
        try (Connection connection = connect(null, "?jms.prefetchPolicy.all=0")) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("drain"));
            MessageConsumer consumer = session.createConsumer(queue);
            expect(null, consumer.receiveNoWait());
            MessageProducer producer = session.createProducer(queue);
            producer.send(session.createTextMessage("one"));
            producer.send(session.createTextMessage("two"));
            expect("one", text(consumer.receiveNoWait()));
            expect("two", text(consumer.receive(WAIT_MS)));
            expect(null, consumer.receiveNoWait());
        }
    }

    private void browses() throws JMSException {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("browse"));
            MessageProducer producer = session.createProducer(queue);
            for (int i = 0; i < 5; i++) {
                producer.send(session.createTextMessage("" + i));
            }
            for (int round = 0; round < 2; round++) {
                int seen = 0;
                Enumeration<?> messages = session.createBrowser(queue).getEnumeration();
                while (messages.hasMoreElements()) {
                    expect("" + seen++, text((Message) messages.nextElement()));
                }
                expect(5, seen);
            }
            MessageConsumer consumer = session.createConsumer(queue);
            for (int i = 0; i < 5; i++) {
                expect("" + i, text(consumer.receive(WAIT_MS)));
            }
        }
    }

    private void recovers() throws JMSException {
        try (Connection connection = connect()) {
            Session session = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(fresh("recover"));
            MessageProducer producer = session.createProducer(queue);
            producer.send(session.createTextMessage("one"));
            producer.send(session.createTextMessage("two"));
            MessageConsumer consumer = session.createConsumer(queue);
            expect("one", text(consumer.receive(WAIT_MS)));
            expect("two", text(consumer.receive(WAIT_MS)));
            session.recover();
            Message again = consumer.receive(WAIT_MS);
            expect("one", text(again));
            expect(true, again.getJMSRedelivered());
            expect(2, again.getIntProperty("JMSXDeliveryCount"));
            consumer.receive(WAIT_MS).acknowledge();
            consumer.close();
            expect(null, session.createConsumer(queue).receive(QUIET_MS));
        }
    }

    private void temporaryDestinationsEnd() throws JMSException {
        try (Connection owner = connect(); Connection other = connect()) {
            Session session = automatic(owner);
            Session stranger = automatic(other);
            MessageProducer relay = stranger.createProducer(null);
            TemporaryTopic topic = session.createTemporaryTopic();
            MessageConsumer first = session.createConsumer(topic);
            MessageConsumer second = session.createConsumer(topic);
            relay.send(topic, stranger.createTextMessage("to both"));
            expect("to both", text(first.receive(WAIT_MS)));
            expect("to both", text(second.receive(WAIT_MS)));
            TemporaryQueue queue = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(queue);
            relay.send(queue, stranger.createTextMessage("answer"));
            expect("answer", text(consumer.receive(WAIT_MS)));
            consumer.close();
            queue.delete();
            refused(relay, queue, stranger.createTextMessage("late"));
        }
    }

    private static void refused(MessageProducer relay, Destination destination, Message message) {
        try {
            relay.send(destination, message);
        } catch (JMSException expected) {
            return;
        }
        throw new AssertionError("a message to a deleted temporary queue was accepted");
    }

    private void subscribes() throws JMSException {
        try (Connection connection = connect(); Connection other = connect()) {
            Session session = automatic(connection);
            Topic topic = session.createTopic(fresh("topic"));
            MessageConsumer first = session.createConsumer(topic);
            MessageConsumer second = automatic(other).createConsumer(topic);
            MessageConsumer noLocal = session.createConsumer(topic, null, true);
            session.createProducer(topic).send(session.createTextMessage("own"));
            expect("own", text(first.receive(WAIT_MS)));
            expect("own", text(second.receive(WAIT_MS)));
            expect(null, text(noLocal.receive(QUIET_MS)));
            Session sender = automatic(other);
            sender.createProducer(topic).send(sender.createTextMessage("foreign"));
            expect("foreign", text(noLocal.receive(WAIT_MS)));
        }
    }

    private void keepsDurableSubscription() throws JMSException {
        String clientId = fresh("client");
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Topic topic = session.createTopic(fresh("durable"));
            MessageProducer producer = session.createProducer(topic);
            try (Connection subscriber = connect(clientId, "")) {
                MessageConsumer consumer = automatic(subscriber).createDurableConsumer(topic, "sub");
                producer.send(session.createTextMessage("one"));
                expect("one", text(consumer.receive(WAIT_MS)));
            }
            producer.send(session.createTextMessage("two"));
            try (Connection subscriber = connect(clientId, "")) {
                Session session2 = automatic(subscriber);
                MessageConsumer consumer = session2.createDurableConsumer(topic, "sub");
                expect("two", text(consumer.receive(WAIT_MS)));
                consumer.close();
                producer.send(session.createTextMessage("three"));
                session2.unsubscribe("sub");
                expect(null, session2.createDurableConsumer(topic, "sub").receive(QUIET_MS));
            }
        }
    }

    private void sharesSubscriptions() throws JMSException {
        try (Connection connection = connect(fresh("client"), ""); Connection other = connect()) {
            Session session = automatic(connection);
            Topic topic = session.createTopic(fresh("shared"));
            MessageConsumer first = session.createSharedConsumer(topic, "share");
            MessageConsumer second = session.createSharedConsumer(topic, "share");
            MessageConsumer global = automatic(other).createSharedDurableConsumer(topic, fresh("global"));
            MessageProducer producer = session.createProducer(topic);
            for (int i = 0; i < 10; i++) {
                producer.send(session.createTextMessage("" + i));
            }
            int seen = 0;
            for (MessageConsumer consumer : new MessageConsumer[] {first, second}) {
                while (consumer.receive(QUIET_MS) != null) {
                    seen++;
                }
            }
            expect(10, seen);
            for (int i = 0; i < 10; i++) {
                expect("" + i, text(global.receive(WAIT_MS)));
            }
        }
    }

    private void expires() throws Exception {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("expires"));
            MessageProducer producer = session.createProducer(queue);
            producer.send(session.createTextMessage("short"), DeliveryMode.PERSISTENT, 4, 100);
            producer.send(session.createTextMessage("long"), DeliveryMode.PERSISTENT, 4, 60_000);
            Thread.sleep(300);
            MessageConsumer consumer = session.createConsumer(queue);
            expect("long", text(consumer.receive(WAIT_MS)));
            expect(null, consumer.receive(QUIET_MS));
        }
    }

    private void refusesSecondClientId() throws JMSException {
        String clientId = fresh("once");
        try (Connection connection = connect(clientId, "")) {
            automatic(connection);
            try {
                connect(clientId, "").close();
            } catch (InvalidClientIDException expected) {
                return;
            }
            throw new AssertionError("a second connection of the client id was accepted");
        }
    }

    private void carriesLargeMessages() throws JMSException {
        try (Connection connection = connect()) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("large"));
            byte[] body = new byte[10 << 20];
            new Random(1).nextBytes(body);
            BytesMessage sent = session.createBytesMessage();
            sent.writeBytes(body);
            session.createProducer(queue).send(sent);
            BytesMessage seen = (BytesMessage) session.createConsumer(queue).receive(WAIT_MS);
            byte[] back = new byte[(int) seen.getBodyLength()];
            seen.readBytes(back);
            expect(true, Arrays.equals(body, back));
        }
    }

    private void logsIn() throws JMSException {
        try (Connection connection = connect(null, "?jms.username=ann&jms.password=s3cret")) {
            Session session = automatic(connection);
            Queue queue = session.createQueue(fresh("login"));
            session.createProducer(queue).send(session.createTextMessage("in"));
            expect("in", text(session.createConsumer(queue).receive(WAIT_MS)));
        }
    }
}
