/** The exported `task`: enqueueing, periodic tasks, and looking into the queues. */
export { addMiddleware, type TaskMiddleware } from "./middleware";
export { enqueue, enqueueAt, enqueueIn } from "./enqueue";
export {
  enqueueAllRecurrentTasks,
  enqueueRecurrentTask,
  stopRecurrentTask,
} from "./recurrent";
