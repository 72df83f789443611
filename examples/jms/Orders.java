import jakarta.jms.Connection;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.Enumeration;
import java.util.UUID;
import org.apache.qpid.jms.JmsConnectionFactory;

/**
 * A Jakarta Messaging program on Qpid JMS (AMQP 1.0). Nothing in it is made for TernMQ: it shows that
 * a program written for another broker runs. Needs a JDK (17 or later) and Maven, and a broker:
 *
 *     mvn -f examples/jms/pom.xml dependency:copy-dependencies -DoutputDirectory=target/lib
 *     java -cp 'examples/jms/target/lib/*' examples/jms/Orders.java amqp://127.0.0.1:5672
 *
 * It prints a line for each part and ends with an exception where a part did not go as it says.
 */
public final class Orders {
    private static final long WAIT_MS = 5_000;
    private static final long QUIET_MS = 300;
    private static final int ATTEMPTS = 10; // max_delivery_attempts, the broker's default
    private static final int FAILED = 4; // modified{delivery-failed}, the client's JMS_AMQP_ACK_TYPE

    private final Connection connection;
    private final String run = UUID.randomUUID().toString().substring(0, 8);

    private Orders(Connection connection) {
        this.connection = connection;
    }

    public static void main(String[] arguments) throws JMSException {
        String url = arguments.length > 0 ? arguments[0] : "amqp://127.0.0.1:5672";
        try (Connection connection = new JmsConnectionFactory(url).createConnection()) {
            connection.start();
            Orders orders = new Orders(connection);
            orders.queueKeepsOrder();
            orders.topicReachesEverySubscriber();
            orders.temporaryQueueGetsTheAnswer();
            orders.unacknowledgedComesBack();
            orders.failingOrderEndsInDlq();
        }
    }

    private void queueKeepsOrder() throws JMSException {
        Session session = connection.createSession(Session.AUTO_ACKNOWLEDGE);
        Queue queue = session.createQueue("orders-" + run);
        MessageProducer producer = session.createProducer(queue);
        for (int i = 1; i <= 3; i++) {
            TextMessage order = session.createTextMessage("order " + i);
            order.setIntProperty("pieces", 10 * i);
            producer.send(order);
        }
        MessageConsumer consumer = session.createConsumer(queue);
        for (int i = 1; i <= 3; i++) {
            Message order = consumer.receive(WAIT_MS);
            expect("order " + i, text(order));
            expect(10 * i, order.getIntProperty("pieces"));
        }
        expect(null, text(consumer.receive(QUIET_MS)));
        session.close();
        System.out.println("queue: three orders came in their order, then none");
    }

    private void topicReachesEverySubscriber() throws JMSException {
        Session session = connection.createSession(Session.AUTO_ACKNOWLEDGE);
        Topic prices = session.createTopic("prices-" + run);
        MessageConsumer shop = session.createConsumer(prices);
        MessageConsumer office = session.createConsumer(prices);
        session.createProducer(prices).send(session.createTextMessage("bread 3.20"));
        expect("bread 3.20", text(shop.receive(WAIT_MS)));
        expect("bread 3.20", text(office.receive(WAIT_MS)));
        session.close();
        System.out.println("topic: both subscribers got the price");
    }

    private void temporaryQueueGetsTheAnswer() throws JMSException {
        Session client = connection.createSession(Session.AUTO_ACKNOWLEDGE);
        Session server = connection.createSession(Session.AUTO_ACKNOWLEDGE);
        Queue questions = client.createQueue("questions-" + run);
        TemporaryQueue answers = client.createTemporaryQueue();
        MessageConsumer inbox = client.createConsumer(answers);
        TextMessage question = client.createTextMessage("how many?");
        question.setJMSReplyTo(answers);
        client.createProducer(questions).send(question);

        Message asked = server.createConsumer(questions).receive(WAIT_MS);
        TextMessage answer = server.createTextMessage("twelve");
        answer.setJMSCorrelationID(asked.getJMSMessageID());
        server.createProducer(asked.getJMSReplyTo()).send(answer);

        Message answered = inbox.receive(WAIT_MS);
        expect("twelve", text(answered));
        expect(question.getJMSMessageID(), answered.getJMSCorrelationID());
        server.close();
        client.close();
        System.out.println("temporary queue: the answer came to the one who asked");
    }

    private void unacknowledgedComesBack() throws JMSException {
        Session first = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
        Queue queue = first.createQueue("unacknowledged-" + run);
        MessageProducer producer = first.createProducer(queue);
        producer.send(first.createTextMessage("kept"));
        producer.send(first.createTextMessage("returned"));
        MessageConsumer consumer = first.createConsumer(queue);
        Message kept = consumer.receive(WAIT_MS);
        expect("kept", text(kept));
        kept.acknowledge();
        expect("returned", text(consumer.receive(WAIT_MS)));
        first.close(); // without acknowledge()

        Session second = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
        Message again = second.createConsumer(queue).receive(WAIT_MS);
        expect("returned", text(again));
        again.acknowledge();
        second.close();
        System.out.println("CLIENT_ACKNOWLEDGE: only what was not acknowledged came back");
    }

    private void failingOrderEndsInDlq() throws JMSException {
        Session session = connection.createSession(Session.CLIENT_ACKNOWLEDGE);
        Queue queue = session.createQueue("failing-" + run);
        session.createProducer(queue).send(session.createTextMessage("cannot be booked " + run));
        MessageConsumer consumer = session.createConsumer(queue);
        for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
            Message order = consumer.receive(WAIT_MS);
            expect("cannot be booked " + run, text(order));
            expect(attempt, order.getIntProperty("JMSXDeliveryCount"));
            expect(attempt > 1, order.getJMSRedelivered());
            order.setIntProperty("JMS_AMQP_ACK_TYPE", FAILED);
            order.acknowledge();
        }
        expect(null, text(consumer.receive(QUIET_MS)));
        boolean dead = false;
        Enumeration<?> letters = session.createBrowser(session.createQueue("DLQ")).getEnumeration();
        while (letters.hasMoreElements()) {
            dead |= ("cannot be booked " + run).equals(text((Message) letters.nextElement()));
        }
        expect(true, dead);
        session.close();
        System.out.println("DLQ: an order that failed " + ATTEMPTS + " times is there");
    }

    private static String text(Message message) throws JMSException {
        return message instanceof TextMessage text ? text.getText() : null;
    }

    private static void expect(Object wanted, Object seen) {
        if (wanted == null ? seen != null : !wanted.equals(seen)) {
            throw new IllegalStateException("wanted " + wanted + ", saw " + seen);
        }
    }
}
